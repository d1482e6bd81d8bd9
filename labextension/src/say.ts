/**
 * Strings in the person's language. English until a place that has translations (JupyterLab) hands them in.
 *
 * The functions have the names that Jupyter's tools look for in sources; `%1`, `%2` stand for what follows. In a
 * plural `%1` is the number as it is, so a formatted one is handed in as the next argument.
 */

export interface Translation {
  __(text: string, ...values: (string | number)[]): string;
  _n(one: string, many: string, count: number, ...values: (string | number)[]): string;
}

function filled(text: string, values: readonly (string | number)[]): string {
  return text.replace(/%(\d)/g, (found, at: string) => String(values[Number(at) - 1] ?? found));
}

const ENGLISH: Translation = {
  __: (text, ...values) => filled(text, values),
  _n: (one, many, count, ...values) => filled(count === 1 ? one : many, [count, ...values]),
};

let spoken: Translation = ENGLISH;

/** Speak another language from now on; what is on the screen follows with its next drawing. */
export function speak(translation: Translation): void {
  spoken = translation;
}

export function __(text: string, ...values: (string | number)[]): string {
  return spoken.__(text, ...values);
}

export function _n(one: string, many: string, count: number, ...values: (string | number)[]): string {
  return spoken._n(one, many, count, ...values);
}
