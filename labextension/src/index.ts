/** The module's door: `mount` for any store, and anywidget's convention for a widget. */

import { fromModel, type Model } from "./anywidget";
import { mount } from "./view";

export { mount };
export type { Store, Snapshot, Message, Reply } from "./types";

export default {
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    return mount(el, fromModel(model));
  },
};
