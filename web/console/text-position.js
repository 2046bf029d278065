/** Line and column, both from 1, of an index into a text; columns count characters, not UTF-16 units. */
export function lineAndColumn(text, position) {
  const before = text.slice(0, position).split('\n');
  return { line: before.length, column: Array.from(before.at(-1)).length + 1 };
}
