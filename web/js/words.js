// Words of a prompt, as the service sees them.
//
// Contract: words are separated by white space. The key of a word is the word in lower case without surrounding
// punctuation; to the service two words with the same key are the same word. Offsets are string offsets.

/** @typedef {{text: string, key: string, start: number, end: number}} Word */

/**
 * @param {string} prompt
 * @returns {Word[]}
 */
export function wordsOf(prompt) {
  return Array.from(prompt.matchAll(/\S+/gu), (match) => {
    const text = match[0];
    return { text, key: keyOf(text), start: match.index, end: match.index + text.length };
  });
}

/**
 * @param {string} text
 * @returns {string}
 */
export function keyOf(text) {
  return bare(text).toLowerCase();
}

/** A word without the punctuation around it. @param {string} text */
function bare(text) {
  return text.replace(/^[^\p{Alphabetic}\p{N}]+|[^\p{Alphabetic}\p{N}]+$/gu, "");
}

/** The keys of a text's words. @param {string} text */
export const keysOf = (text) => wordsOf(text).map((word) => word.key);

/**
 * Whether a prompt has a word, or the words of a phrase in a row.
 * @param {string} prompt
 * @param {string} phrase
 */
export function hasWords(prompt, phrase) {
  const [there, wanted] = [keysOf(prompt), keysOf(phrase)];
  return there.some((_, at) => wanted.every((key, offset) => there[at + offset] === key));
}

/**
 * The word at an offset, or ending there.
 * @param {string} prompt
 * @param {number} offset
 * @returns {Word | undefined}
 */
export function wordAt(prompt, offset) {
  return wordsOf(prompt).find((word) => word.start <= offset && offset <= word.end);
}

/**
 * A prompt with one word replaced; its punctuation is kept.
 * @param {string} prompt
 * @param {Word} word
 * @param {string} by
 */
export function replaceWord(prompt, word, by) {
  const core = bare(word.text);
  return prompt.slice(0, word.start) + (core === "" ? by : word.text.replace(core, () => by)) + prompt.slice(word.end);
}

/**
 * The vocabulary group of a word, except for function words.
 * @param {Record<string, string[]>} vocabulary
 * @param {string} key
 * @returns {[string, string[]] | undefined}
 */
export function groupOf(vocabulary, key) {
  const groups = Object.entries(vocabulary).filter(([name]) => name !== "other");
  return groups.find(([, entries]) => entries.some((entry) => entry.toLowerCase() === key));
}
