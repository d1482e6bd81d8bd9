/** The settings of `schema/plugin.json` as typed values; the schema's defaults where there is no registry. */

import type { ISettingRegistry } from "@jupyterlab/settingregistry";

export interface Settings {
  readonly side: "left" | "right";
  readonly notifications: boolean;
  readonly seconds: number;
}

export const DEFAULTS: Settings = { side: "right", notifications: true, seconds: 30 };

export function read(composite: Readonly<Record<string, unknown>>): Settings {
  const { side, notifications, seconds } = composite;
  return {
    side: side === "left" ? "left" : "right",
    notifications: typeof notifications === "boolean" ? notifications : DEFAULTS.notifications,
    seconds: typeof seconds === "number" && seconds >= 0 ? seconds : DEFAULTS.seconds,
  };
}

/** Tell of the settings now and whenever they change. */
export async function follow(registry: ISettingRegistry | null, id: string, told: (settings: Settings) => void): Promise<void> {
  if (!registry) return told(DEFAULTS);
  try {
    const settings = await registry.load(id);
    const tell = (): void => told(read(settings.composite));
    settings.changed.connect(tell);
    tell();
  } catch (error) {
    console.warn(`The settings of ${id} cannot be read; the defaults stand.`, error);
    told(DEFAULTS);
  }
}
