/** Who wants to be told when something changed; what one of them throws does not keep it from the others. */

export class Listeners<T = void> {
  private readonly all = new Set<(value: T) => void>();

  get size(): number {
    return this.all.size;
  }

  add(listener: (value: T) => void): () => void {
    const own = (value: T): void => listener(value); // one that is added twice is told twice, and leaves once
    this.all.add(own);
    return () => this.all.delete(own);
  }

  tell(value: T): void {
    for (const listener of [...this.all]) {
      try {
        listener(value);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
