/** Numbers, times and states as people read them. Pure. */

import { __, _n } from "./say";
import type { State } from "./types";

const WHOLE = new Intl.NumberFormat("en-US");

export function number(value: number): string {
  return WHOLE.format(value);
}

/** "1 job", "1,240 jobs". */
export function jobs(count: number): string {
  return _n("1 job", "%2 jobs", count, number(count));
}

/** The word of a state; another word as it is. */
export function stateName(state: State | string): string {
  const words: Readonly<Record<string, string>> = {
    queued: __("queued"),
    running: __("running"),
    finished: __("finished"),
    failed: __("failed"),
    cancelled: __("cancelled"),
    lost: __("lost"),
  };
  return words[state] ?? state;
}

/** 0:42, 12:05, 1:02:03: how long something takes as a whole. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (part: number): string => String(part).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${number(hours)}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** "14:05", on another day "3 Nov 14:05": when something was; `exact` adds the seconds. */
export function moment(at: number, now: number, exact = false): string {
  const [then, today] = [new Date(at * 1000), new Date(now * 1000)];
  const two = (part: number): string => String(part).padStart(2, "0");
  const time = [then.getHours(), then.getMinutes(), ...(exact ? [then.getSeconds()] : [])].map(two).join(":");
  if (then.toDateString() === today.toDateString()) return time;
  return `${then.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...(then.getFullYear() === today.getFullYear() ? {} : { year: "numeric" }) })} ${time}`;
}

/** "140 µs", "12 ms", "0.8 s", "42 s", then a clock: how long one job took. */
export function duration(seconds: number): string {
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.0995) return `${Math.round(seconds * 1e3)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 99.5 ? `${Math.round(seconds)} s` : clock(seconds);
}

/** "1,240 jobs/s", "12.3 jobs/s", "8.4 jobs/min", "3 jobs/h". */
export function pace(perSecond: number): string {
  const [rate, unit] = perSecond >= 1 ? [perSecond, "s"] : perSecond >= 1 / 60 ? [perSecond * 60, "min"] : [perSecond * 3600, "h"];
  return __("%1 jobs/%2", rate >= 99.95 ? number(Math.round(rate)) : String(Math.round(rate * 10) / 10), unit);
}

/** "a minute and 2 seconds" is what a screen reader should say for 1:02. */
export function spoken(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const unit = (count: number, word: string): string => (count ? `${number(count)} ${word}${count === 1 ? "" : "s"}` : "");
  const parts = [unit(Math.floor(whole / 3600), "hour"), unit(Math.floor(whole / 60) % 60, "minute")];
  if (whole < 3600) parts.push(unit(whole % 60, "second"));
  return parts.filter(Boolean).join(" ") || "0 seconds";
}
