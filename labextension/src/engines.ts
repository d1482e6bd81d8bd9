/** What is said of engines: their states, what they cannot do, who did how much. Pure. */

import { __, _n } from "./say";
import { number } from "./words";
import type { Engine, EngineState, Lack, Snapshot, Worker } from "./types";

export function stateWord({ state }: Engine): string {
  const words: Readonly<Record<EngineState, string>> = { connecting: __("connecting…"), open: __("open"), away: __("away"), failed: __("failed"), leaving: __("leaving…") };
  return words[state];
}

export function slots(count: number): string {
  return _n("1 slot", "%2 slots", count, number(count));
}

/** What the chip says after its sign: "hq2:12345 · 2 slots"; of one that is not open, what it is instead. */
export function chipText(engine: Engine): string {
  const name = engine.name.replace(/^dsage:\/\//, "");
  const said = engine.state === "open" ? slots(engine.slots) : engine.state === "failed" ? `${__("failed")} !` : stateWord(engine);
  return `${name} · ${said}`;
}

/** The same in full, for the pointer. */
export function chipHint(engine: Engine): string {
  const at = engine.host && engine.host !== engine.name ? ` ${__("on %1", engine.host)}` : "";
  return [`${engine.name}${at}: ${stateWord(engine)}, ${workersOf(engine)}`, engine.note, limits(engine)].filter(Boolean).join("\n");
}

/** "7 of 8": workers up, of the slots; "0" while the slots are not known. */
export function workersUp(engine: Engine): string {
  return engine.slots ? __("%1 of %2", number(engine.workers), number(engine.slots)) : number(engine.workers);
}

function workersOf(engine: Engine): string {
  return engine.slots ? _n("%2 of 1 worker up", "%2 of %3 workers up", engine.slots, number(engine.workers), number(engine.slots)) : __("no workers yet");
}

const HEED: readonly EngineState[] = ["failed", "away", "connecting", "leaving", "open"];

/** The few engines that the header has room for: those that want heed before those that are well, all in their order. */
export function shown(engines: readonly Engine[], room: number): readonly Engine[] {
  if (engines.length <= room) return engines;
  const picked = new Set(HEED.flatMap((heed) => engines.filter(({ state }) => state === heed)).slice(0, room));
  return engines.filter((engine) => picked.has(engine));
}

/** What an engine cannot do, as a sentence; "" if it can do all. */
export function limits(engine: Engine): string {
  const parts: string[] = [];
  if (engine.cannot.includes("functions")) parts.push(__("only calls services (with plain data)"));
  if (engine.cannot.includes("interrupt")) parts.push(__("cannot interrupt a running job"));
  if (engine.cannot.includes("scale")) parts.push(__("keeps its number of workers"));
  return parts.length ? __("It %1.", listed(parts)) : "";
}

export function listed(names: readonly string[]): string {
  return names.length > 1 ? __("%1 and %2", names.slice(0, -1).join(", "), names.at(-1) ?? "") : (names[0] ?? "");
}

/** The names of the engines if all of them lack something; "" if one can do it, or none is there. */
function allLack(engines: readonly Engine[], lack: Lack): string {
  return engines.every(({ cannot }) => cannot.includes(lack)) ? listed(engines.map(({ name }) => name)) : "";
}

/** Where this batch runs: the engines that run some of it now, else those that may. */
function running(s: Snapshot): readonly Engine[] {
  const busy = s.engines.filter((engine) => engine.running > 0);
  return busy.length ? busy : s.engines.filter(({ state }) => state !== "failed" && state !== "leaving");
}

/** The engines that cannot interrupt what runs of this batch, if that is true of all that run it. */
export function uninterruptible(s: Snapshot | null): string {
  return s ? allLack(running(s), "interrupt") : "";
}

/** The engines that call services only, if that is true of all there are. */
export function servicesOnly(s: Snapshot | null): string {
  return s ? allLack(s.engines, "functions") : "";
}

/** Why a running job cannot be cancelled; "" if it can. Where its worker is known, its own engine decides. */
export function whyNotCancel(s: Snapshot | null, worker: string | null): string {
  const home = s?.workers.find(({ name }: Worker) => name === worker)?.engine;
  const engine = s?.engines.find(({ name }) => name === home);
  const names = engine ? allLack([engine], "interrupt") : uninterruptible(s);
  return names && __("It goes on to its end, since %1 cannot interrupt it", names);
}

/** How much of what the engines finished of this batch one of them did, in percent. */
export function share(engine: Engine, engines: readonly Engine[]): number {
  const all = engines.reduce((sum, { finished }) => sum + finished, 0);
  return all ? (engine.finished / all) * 100 : 0;
}

export function percent(share: number): string {
  return share > 0 && share < 0.5 ? "< 1 %" : `${Math.round(share)} %`;
}

/** What ears are told beside the counts: "atlas is away". */
export function troubled(s: Snapshot): readonly string[] {
  return s.engines.flatMap(({ name, state }) => (state === "away" ? [__("%1 is away", name)] : state === "failed" ? [__("%1 has failed", name)] : []));
}

/** Why the engines run nothing, for a session without workers; "" if they are on their way. */
export function reasons(engines: readonly Engine[]): string {
  return engines.flatMap(({ name, state, note }) => (note && (state === "failed" || state === "away") ? [`${name}: ${note}`] : [])).join(" ");
}
