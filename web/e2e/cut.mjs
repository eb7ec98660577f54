// What a page cuts off, so that nobody can read it: for the browser tests of all pages.
import assert from 'node:assert/strict';

/** A phone, a tablet, and the narrowest window of a desk. */
export const widths = [390, 768, 1280];

/** In the page: elements that are wider than there is room for, without a way to the rest of them. */
function cutOff() {
  const wide = (element) => element.scrollWidth - element.clientWidth > 1;
  const scrolls = (style) => style.overflowX === 'auto' || style.overflowX === 'scroll';
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    // Words for screen readers are cut on purpose.
    if (box.width === 0 || style.clipPath !== 'none') continue;
    const tell = (what) => found.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
    if (wide(element) && ['hidden', 'clip'].includes(style.overflowX) && style.textOverflow !== 'ellipsis')
      tell('it hides what is in it');
    // It scrolls, and of a table that ends in a line nobody sees that there is more.
    if (wide(element) && element.matches('.table-frame')) tell('it hides columns');
    let above = element.parentElement;
    while (above && !scrolls(getComputedStyle(above))) above = above.parentElement;
    if (!above && box.right > window.innerWidth + 1) tell('it is outside of the window');
  }
  return found;
}

/** Fails if the page cuts anything off at one of the widths. `show` brings it there. */
export async function assertNothingIsCut(page, name, show) {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 820 });
    await show();
    assert.deepEqual(await page.evaluate(cutOff), [], `${name} at ${width} pixels`);
  }
}
