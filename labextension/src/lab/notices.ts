/** Says that a batch which took long has ended, or that a session is over before its batches are. Emits through JupyterLab. */

import { failures, title } from "../panel/model";
import { __, _n } from "../say";
import { clock, number } from "../words";
import type { BatchRow, SessionView } from "../panel/types";

export interface Notice {
  readonly session: string;
  readonly batch: number;
  readonly kind: "success" | "info" | "warning";
  readonly text: string;
}

/** What to say of a session, from how it was and how it is; what was over when first seen is old news. */
export function noticesOf(before: SessionView | null, now: SessionView, seconds: number): readonly Notice[] {
  if (!before) return [];
  const then = new Map(before.batches.map((batch) => [batch.number, batch]));
  return now.batches.flatMap((batch) => {
    const was = then.get(batch.number);
    const long = batch.elapsed >= seconds && batch.total > 0;
    if (!was || was.ended || !batch.ended || !long) return [];
    return [{ session: now.id, batch: batch.number, ...said(batch, title(now)) }];
  });
}

function said(batch: BatchRow, of: string): Pick<Notice, "kind" | "text"> {
  const bad = failures(batch.counts);
  const took = clock(batch.elapsed);
  if (bad) return { kind: "warning", text: _n("%2 in %3 ended after %4: 1 of its jobs failed.", "%2 in %3 ended after %4: %5 of its jobs failed.", bad, batch.name, of, took, number(bad)) };
  if (batch.counts.cancelled) return { kind: "info", text: __("%1 in %2 was cancelled after %3.", batch.name, of, took) };
  return { kind: "success", text: _n("%2 in %3 is done: 1 job in %4.", "%2 in %3 is done: %5 jobs in %4.", batch.total, batch.name, of, took, number(batch.total)) };
}
