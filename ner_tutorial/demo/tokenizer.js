// From words to pieces and windows: BERT's WordPiece as the library `tokenizers` does it, and ner_tutorial's windows.
import { setOf, wellFormed } from "./words.js";

// What becomes of one character: an array of characters, empty if it is dropped.
class Normalizer {
  constructor({ lower, decompose, drop, space, keep, alone, other }) {
    Object.assign(this, { lower, decompose, other });
    [this.drop, this.space, this.keep, this.alone] = [drop, space, keep, alone].map(setOf);
    this.known = new Map();
  }

  of(code) {
    let answer = this.known.get(code);
    if (answer === undefined) this.known.set(code, (answer = this.work(code)));
    return answer;
  }

  work(code) {
    const character = String.fromCodePoint(code);
    if (this.drop[code]) return [];
    if (this.space[code]) return [" "];
    if (this.keep[code]) return [character];
    if (Object.hasOwn(this.other, character)) return [...this.other[character]];
    const parts = [...(this.decompose ? character.normalize("NFD") : character)].filter((part) => !this.drop[part.codePointAt(0)]);
    const usual = parts.flatMap((part) => [...(this.lower ? part.toLowerCase() : part)]);
    return this.alone[code] ? [" ", ...usual, " "] : usual;
  }
}

export class Tokenizer {
  // vocabulary: the pieces, by number. before, after: the special tokens around a row.
  constructor(vocabulary, { normal, cuts }, { prefix, unknown, longest, before, after, length, stride }) {
    this.vocabulary = vocabulary;
    this.ids = new Map(vocabulary.map((piece, id) => [piece, id]));
    this.normalizer = new Normalizer(normal);
    [this.blank, this.mark] = [cuts.blank, cuts.mark].map(setOf);
    Object.assign(this, { prefix, unknown, longest, before, after, length, stride });
  }

  // The ids of one word's pieces; none if the tokenizer drops all of its characters.
  pieces(word) {
    const parts = [[]]; // a tokenizer may cut a word once more, after it has changed characters
    for (const character of word) {
      for (const letter of this.normalizer.of(wellFormed(character.codePointAt(0)))) {
        const code = letter.codePointAt(0);
        if (this.blank[code]) parts.push([]);
        else if (this.mark[code]) parts.push([letter], []);
        else parts.at(-1).push(letter);
      }
    }
    return parts.filter((part) => part.length).flatMap((part) => this.longestFirst(part));
  }

  // The longest piece that the vocabulary has, then the longest for the rest, and so on. One gap, and all is unknown.
  longestFirst(letters) {
    if (letters.length > this.longest) return [this.unknown];
    const ids = [];
    for (let start = 0; start < letters.length; ) {
      let end = letters.length, id;
      for (; end > start; end -= 1) {
        id = this.ids.get((start ? this.prefix : "") + letters.slice(start, end).join(""));
        if (id !== undefined) break;
      }
      if (id === undefined) return [this.unknown];
      ids.push(id);
      start = end;
    }
    return ids;
  }

  // Overlapping rows for the model. answers: of each token the word that it answers for, or -1; one row answers per word.
  windows(words) {
    const pieces = words.map((word) => this.pieces(word));
    const ids = pieces.flat(), wordOf = pieces.flatMap((row, word) => row.map(() => word));
    const room = this.length - this.before.length - this.after.length, step = room - this.stride;
    const windows = [];
    for (let start = 0; ; start += step) {
      const end = Math.min(start + room, ids.length);
      windows.push({ start, ids: ids.slice(start, end), words: wordOf.slice(start, end) });
      if (end === ids.length) break;
    }
    const owner = this.owners(windows, wordOf);
    return windows.map((window, number) => ({
      ids: [...this.before, ...window.ids, ...this.after],
      answers: [
        ...this.before.map(() => -1),
        ...window.words.map((word, i) => (owner[word] === number && window.words[i - 1] !== word ? word : -1)),
        ...this.after.map(() => -1),
      ],
    }));
  }

  // Which window answers for each word: one with its first piece, then one with most of its pieces, then the one where it is
  // furthest from the edge. The true ends of a text are no edge.
  owners(windows, wordOf) {
    const owner = [], best = [];
    windows.forEach(({ start, words }, number) => {
      const last = words.length + this.before.length + this.after.length - 1;
      for (let from = 0; from < words.length; ) {
        const word = words[from];
        let to = from;
        while (words[to + 1] === word) to += 1;
        const left = number === 0 ? last : from + this.before.length;
        const right = number === windows.length - 1 ? last : last - (to + this.before.length);
        const score = [Number(wordOf[start + from - 1] !== word), to - from + 1, Math.min(left, right)];
        if (best[word] === undefined || greater(score, best[word])) { best[word] = score; owner[word] = number; }
        from = to + 1;
      }
    });
    return owner;
  }
}

// The first numbers that differ decide.
function greater(a, b) {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && a[at] > b[at];
}
