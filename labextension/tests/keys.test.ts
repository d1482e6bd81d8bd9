import assert from "node:assert/strict";
import { test } from "node:test";
import { passes } from "../src/keys";

function typed(words: string): boolean {
  const parts = words.split("+");
  const key = parts.pop() ?? "";
  return passes({ key, ctrlKey: parts.includes("Ctrl"), metaKey: parts.includes("Cmd"), altKey: parts.includes("Alt"), shiftKey: parts.includes("Shift") });
}

test("what could change a cell stays in the view, and saving does not", () => {
  for (const key of ["s", "x", "d", "Enter", "Escape", "Shift+Enter", "Ctrl+Enter", "Ctrl+a", "Ctrl+z", "Ctrl+Shift+ArrowUp", "Ctrl+Shift+M", "Ctrl+Backspace", "Alt+Enter", "Ctrl+Alt+s"]) assert.equal(typed(key), false, key);
  for (const key of ["Ctrl+s", "Cmd+s", "Ctrl+Shift+S", "Ctrl+Shift+C", "Cmd+Shift+c", "Ctrl+f", "Ctrl+b", "Ctrl+j"]) assert.equal(typed(key), true, key);
});
