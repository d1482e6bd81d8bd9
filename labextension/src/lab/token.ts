/** The name under which our plugins find the one store of sessions. */

import { Token } from "@lumino/coreutils";
import type { SessionStore } from "./sessions";

export const ISessionStore = new Token<SessionStore>("jupyter_dsage:ISessionStore", "The store of the sessions of jupyter_dsage.");
