// From the scores of words to entities: ner_tutorial/decoding.py and spans.py, for the strategy "first".

const typeOf = (label) => label.slice(2); // of "O" it is empty

// I-X follows only B-X and I-X. before is undefined at the start of a text.
const allowed = (before, label) => !label.startsWith("I-") || (before !== undefined && typeOf(before) === typeOf(label));

const bestOf = (numbers) => numbers.reduce((best, number, i) => (number > numbers[best] ? i : best), 0);

// scores: for each word an array with the score of each label. The labels of the best sequence that IOB2 allows, by number.
export function decode(scores, labels) {
  const greedy = scores.map(bestOf);
  if (greedy.every((id, word) => allowed(labels[greedy[word - 1]], labels[id]))) return greedy;
  let best = labels.map((label, id) => (allowed(undefined, label) ? 0 : -Infinity) + scores[0][id]);
  const origins = [];
  for (const row of scores.slice(1)) {
    const sums = labels.map((label) => best.map((sum, before) => sum + (allowed(labels[before], label) ? 0 : -Infinity)));
    const from = sums.map(bestOf);
    origins.push(from);
    best = sums.map((column, id) => column[from[id]] + row[id]);
  }
  const ids = [bestOf(best)];
  for (const from of origins.reverse()) ids.unshift(from[ids[0]]);
  return ids;
}

// places: of each word its first character and the one past its last.
export function entities(scores, places, labels) {
  const found = [];
  let chances = [], last = -2; // of the words of the last entity, and its last word
  decode(scores, labels).forEach((id, word) => {
    const label = labels[id];
    if (label === "O") return;
    const most = Math.max(...scores[word]);
    const chance = Math.exp(scores[word][id] - most) / scores[word].reduce((sum, score) => sum + Math.exp(score - most), 0);
    const [start, end] = places[word], entity = found.at(-1);
    if (word === last + 1 && label.startsWith("I-") && entity.type === typeOf(label)) {
      chances.push(chance);
      entity.end = end;
      entity.score = chances.reduce((sum, one) => sum + one) / chances.length;
    } else {
      chances = [chance];
      found.push({ type: typeOf(label), start, end, score: chance });
    }
    last = word;
  });
  return found;
}
