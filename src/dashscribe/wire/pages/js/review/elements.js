// Elements of the list, made without markup: whatever a text holds stays text.

/** An element with attributes (undefined ones left out) and children: texts and elements. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** The place in an element's text nodes that is `offset` characters from its beginning: [node, offset]. */
function placeIn(element, offset) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let left = offset;
  let node = walker.nextNode();
  for (let next = node; next; next = walker.nextNode()) {
    node = next;
    if (left <= node.length) return [node, left];
    left -= node.length;
  }
  return [node ?? element, node ? node.length : 0];
}

/** The range of an element's text from one offset to another. */
export function rangeOf(element, from, to) {
  const range = document.createRange();
  range.setStart(...placeIn(element, from));
  range.setEnd(...placeIn(element, to));
  return range;
}

/** Whether a pointer is on the text of a range, give or take a pixel or two. */
export function isAt(range, { clientX: x, clientY: y }) {
  return [...range.getClientRects()].some((box) => x >= box.left - 2 && x <= box.right + 2 && y >= box.top - 2 && y <= box.bottom + 2);
}

/** How many characters of an element's text stand before a point of the screen; its whole length if that is elsewhere. */
export function offsetAt(element, x, y) {
  const text = element.textContent;
  const found = document.caretPositionFromPoint?.(x, y);
  const old = found ? undefined : document.caretRangeFromPoint?.(x, y);
  const node = found?.offsetNode ?? old?.startContainer;
  if (!node || !element.contains(node)) return text.length;
  const range = document.createRange();
  range.setStart(element, 0);
  range.setEnd(node, found?.offset ?? old.startOffset);
  return range.toString().length;
}
