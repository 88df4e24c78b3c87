// Where each field of a YAML text stands, read from its indentation: a text that is being written is seldom whole.

/**
 * @typedef {{path: string[], keys: string[], line: number, column: number, from: number, to: number, value: string,
 *   item: boolean}} Field
 *   `path` has a name or an item's number for each level, `keys` the names alone; `column` is where the key begins, and
 *   `item` says that it is the first of a list's item.
 */

const KEY = /^("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#'"&*!|>%@`{[\]},-][^#]*?|[^\s#:]+?):(?=\s|$)\s*(.*)$/;

/**
 * The fields of a text, document by document, in their order.
 * @param {string} text
 * @returns {Field[][]}
 */
export function outline(text) {
  const documents = [[]];
  let stack = [];
  let block = -1;
  let from = 0;
  text.split("\n").forEach((line, number) => {
    const start = from;
    from += line.length + 1;
    if (/^---(\s|$)/.test(line)) {
      documents.push([]);
      stack = [];
      block = -1;
      return;
    }
    if (!line.trim()) return;
    let column = line.length - line.trimStart().length;
    // A block of text has no fields.
    if (block >= 0 && column > block) return;
    block = -1;
    let rest = line.slice(column);
    if (rest.startsWith("#")) return;
    let item = false;
    // An item's dash lies a little deeper than a key in its column: lists stand at their key's indentation.
    while (/^-(\s|$)/.test(rest)) {
      const depth = column + 0.5;
      while (stack.length && stack.at(-1).depth > depth) stack.pop();
      const top = stack.at(-1);
      if (top?.depth === depth) top.name = String(Number(top.name) + 1);
      else stack.push({ depth, name: "0", number: true });
      const inner = rest.slice(1);
      const space = inner.length - inner.trimStart().length;
      column += 1 + space;
      rest = inner.trimStart();
      item = true;
    }
    if (item && /^[|>]/.test(rest)) {
      block = stack.at(-1).depth - 0.5;
      return;
    }
    const found = KEY.exec(rest);
    if (!found) return;
    const [, raw, value] = found;
    const name = raw.replace(/^(["'])(.*)\1$/, "$2");
    while (stack.length && stack.at(-1).depth >= column) stack.pop();
    stack.push({ depth: column, name });
    if (/^[|>]/.test(value)) block = column;
    documents.at(-1).push({
      path: stack.map((level) => level.name),
      keys: stack.filter((level) => !level.number).map((level) => level.name),
      line: number,
      column,
      from: start + column,
      to: start + column + raw.length,
      value,
      item,
    });
  });
  return documents;
}

/**
 * The names above a place of the text: where a key that begins in this column of this line would belong.
 * @param {string} text what stands before the line, and the line up to the place
 * @param {number} column
 * @returns {{above: string[], siblings: string[], document: Field[]}}
 */
export function placeOf(text, column) {
  const fields = outline(text).at(-1);
  const above = [];
  const siblings = [];
  let depth = column;
  let item = false;
  for (const field of [...fields].reverse()) {
    if (field.column === depth && !above.length && !item) {
      siblings.push(field.keys.at(-1));
      item = field.item;
    } else if (field.column < depth) {
      above.unshift(field.keys.at(-1));
      depth = field.column;
      item = true;
    }
  }
  return { above, siblings, document: fields };
}
