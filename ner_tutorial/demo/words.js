// From text to words, as ner_tutorial/words.py cuts it for tokenizers of BERT's kind (the rule "every").
// All positions are indices into a JavaScript string, so text.slice(start, end) is the word.

// The characters of "41-43 5a" (hexadecimal ranges), for a quick test by number.
export function setOf(ranges) {
  const bits = new Uint8Array(0x110000);
  for (const range of ranges.split(" ").filter(Boolean)) {
    const [first, last = first] = range.split("-").map((code) => parseInt(code, 16));
    bits.fill(1, first, last + 1);
  }
  return bits;
}

const NAMES = ["letter", "space", "mark", "punctuation", "symbol", "han", "other"];
const [LETTER, SPACE, MARK, PUNCTUATION, SYMBOL, HAN, OTHER] = NAMES.keys();
const JOINER = 0x200d;
const isFlag = (code) => code >= 0x1f1e6 && code <= 0x1f1ff; // two of these letters make a flag

export class WordRule {
  // kinds: ranges of each kind of character; charactersAlone: whether each character of Thai, kana and the like is a word.
  constructor(kinds, charactersAlone) {
    this.kinds = new Uint8Array(0x110000); // LETTER where nothing else is said
    for (const [name, ranges] of Object.entries(kinds)) {
      setOf(ranges).forEach((yes, code) => { if (yes) this.kinds[code] = NAMES.indexOf(name); });
    }
    this.alone = charactersAlone ? [HAN, OTHER] : [HAN];
  }

  // The first character of each word and the one past its last, in order.
  cut(text) {
    const words = [];
    let start = -1; // of the word that is open
    let base = LETTER; // the kind of the last character that was no mark
    let before = 0; // the character before, by number
    for (let at = 0; at < text.length; ) {
      const code = wellFormed(text.codePointAt(at)), kind = this.kinds[code];
      const starts = at === 0 || this.startsCharacter(kind, code, before);
      if (start < 0) {
        if (kind !== SPACE && starts) { start = at; base = kind; }
      } else if (kind === SPACE) {
        words.push([start, at]);
        start = -1;
      } else if (starts) {
        if (this.parts(base, kind)) { words.push([start, at]); start = at; }
        base = kind;
      }
      before = code;
      at += code > 0xffff ? 2 : 1;
    }
    if (start >= 0) words.push([start, text.length]);
    return words;
  }

  // Whether what a reader sees as a character begins here: a cut parts no accent and no emoji.
  startsCharacter(kind, code, before) {
    if (kind === MARK) return false;
    return !(before === JOINER && kind === SYMBOL) && !(isFlag(before) && isFlag(code));
  }

  // Whether a word ends between two characters of these kinds.
  parts(left, right) {
    return this.alone.includes(left) || this.alone.includes(right) || left === PUNCTUATION || right === PUNCTUATION;
  }
}

// Half of a UTF-16 pair is no character; everything that reads text takes it for the replacement character.
export const wellFormed = (code) => (code >= 0xd800 && code <= 0xdfff ? 0xfffd : code);
