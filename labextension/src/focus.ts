/** Keeps the focus in a view when the element that has it is taken away: Pause goes when it was pressed, a row when its job is queued again. */

/** Draw; if what had the focus is not seen any more, its neighbour in the same group gets it, else the view itself. */
export function keepFocus(root: HTMLElement, draw: () => void): void {
  const had = document.activeElement;
  if (!(had instanceof HTMLElement) || had === root || !root.contains(had)) return draw();
  const group = [...(had.closest("[role=group]")?.querySelectorAll<HTMLElement>("button") ?? [])];
  const at = group.indexOf(had);
  draw();
  if (isSeen(had) || (document.activeElement !== had && root.contains(document.activeElement))) return;
  const next = group.slice(at + 1).find(isSeen) ?? group.slice(0, Math.max(0, at)).findLast(isSeen) ?? root;
  next.focus({ preventScroll: true });
}

function isSeen(el: HTMLElement): boolean {
  return el.isConnected && el.getClientRects().length > 0;
}
