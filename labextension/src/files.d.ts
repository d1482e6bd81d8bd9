/** Files that the bundler turns into strings. */

declare module "*.css" {
  const text: string;
  export default text;
}

declare module "*.svg" {
  const text: string;
  export default text;
}

declare module "*.ipynb" {
  const text: string;
  export default text;
}
