"""The command line: ``jupyter dsage keys`` (who trusts whom), ``worker`` (a worker server), and verbs about sessions.

Started by the script ``jupyter-dsage``, which Jupyter finds by its name. Reads words and prints lines; what they mean
is done in `net` and `worker`. Every error is one line on stderr, with exit code 2; no secret key is ever printed.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from jupyter_dsage.errors import DsageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_dsage.net.keys import Keys


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    try:
        given = _parser().parse_args(words)
        given.run(given)
    except DsageError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"The system does not allow it: {error}.")
    except KeyboardInterrupt:
        return _fail("Interrupted.")
    return 0


def _fail(sentence: str) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    return 2


# --- what there is to say ------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jupyter dsage", description="Scatter/gather computing: sessions, worker servers, keys.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _keys_parser(commands.add_parser("keys", help="show, make, authorize, trust and fetch public keys"))
    _worker_parser(commands.add_parser("worker", help="be a worker server, until interrupted"))
    _session_parsers(commands)
    return parser


def _session_parsers(commands: argparse._SubParsersAction[_Parser]) -> None:
    from jupyter_dsage.client.orders import BATCH_VERBS

    commands.add_parser("ps", help="list this user's sessions and their processes").set_defaults(run=_ps)
    told = {
        "status": "engines and batches of a session",
        "refresh": "replace its workers",
        "log": "the last lines of its log",
        "die": "end it, with its processes and its journal",
    } | {verb: f"{verb} batches of a session" for verb in BATCH_VERBS}
    for verb, what in told.items():
        made = commands.add_parser(verb, help=what)
        made.add_argument("--session", metavar="NAME", help="which one, by name or id (the only one that lives)")
        made.set_defaults(run=_about_session, verb=verb)
        if verb in BATCH_VERBS:
            made.add_argument("batches", nargs="*", metavar="BATCH")
        elif verb == "log":
            made.add_argument("lines", nargs="?", type=int, default=20, metavar="N")
        elif verb == "die":
            made.add_argument("--all", action="store_true", help="every session of this user")
            made.add_argument("--force", action="store_true", help="also that of a notebook or script that runs")


def _keys_parser(keys: argparse.ArgumentParser) -> None:
    keys.set_defaults(run=_show, json=False)
    verbs = keys.add_subparsers(metavar="VERB", parser_class=_Parser)

    show = verbs.add_parser("show", help="print this user's public keys and whom they trust (the default)")
    show.add_argument("--json", action="store_true", help="one line for programs")
    show.set_defaults(run=_show)

    verbs.add_parser("make", help="make this user's keys, if there are none").set_defaults(run=_show, json=False)

    authorize = verbs.add_parser("authorize", help="have this user's servers admit a key")
    authorize.add_argument("key", metavar="KEY")
    authorize.add_argument("--role", required=True, help="client: runs any code, like a shell; caller: services only")
    authorize.add_argument("--comment", default="", help="whose key it is")
    authorize.set_defaults(run=_authorize)

    revoke = verbs.add_parser("revoke", help="have this user's servers admit a key no more")
    revoke.add_argument("key", metavar="KEY")
    revoke.set_defaults(run=_revoke)

    trust = verbs.add_parser("trust", help="know a server by its public key")
    trust.add_argument("server", metavar="HOST:PORT")
    trust.add_argument("key", metavar="KEY")
    trust.set_defaults(run=_trust)

    forget = verbs.add_parser("forget", help="know a server no more")
    forget.add_argument("server", metavar="HOST:PORT")
    forget.set_defaults(run=_forget)

    fetch = verbs.add_parser("fetch", help="know this user's server on another host, over ssh")
    fetch.add_argument("url", metavar="ssh://[USER@]HOST[:PORT]")
    fetch.add_argument("--server-port", default="12345", help="where the server listens there (12345)")
    fetch.add_argument("--authorize", action="store_true", help="have it admit this user's key as a client, too")
    fetch.add_argument("--python", default="", metavar="PATH", help="the Python there that has jupyter_dsage")
    fetch.set_defaults(run=_fetch)


def _worker_parser(worker: argparse.ArgumentParser) -> None:
    from jupyter_dsage.net.worker_options import LINGER_MAX, LISTEN

    add = worker.add_argument
    add("--listen", default=LISTEN, metavar="ADDRESS:PORT", help=f"where to listen ({LISTEN}); IPv6 in brackets")
    add("--slots", metavar="N", help="how many jobs at once (one a core)")
    add("--service", action="append", default=[], metavar="NAME=module:function", help="may be given several times")
    add("--services-only", action="store_true", help="take no functions, whoever sends them")
    add("--bulk-port", metavar="P", help="where large frames come in (the port after; 0: any)")
    add(
        "--linger-max", default=LINGER_MAX, metavar="TIME", help=f"how long work is kept for who is away ({LINGER_MAX})"
    )
    add("--log", default="", metavar="FILE", help="where to log (stderr)")
    worker.set_defaults(run=_worker)


# --- what is done --------------------------------------------------------------------------------------------


def _keys() -> Keys:
    from jupyter_dsage.net.keys import Keys

    return Keys(report=lambda sentence: print(sentence, file=sys.stderr))


def _show(given: argparse.Namespace) -> None:
    from jupyter_dsage.net.keys import key_text

    keys = _keys()
    server, client = keys.server().public_text, keys.client().public_text
    authorized = [(role, key_text(key), comment) for key, (role, comment) in keys.authorized().items()]
    known = {name: key_text(key) for name, key in keys.known_servers().items()}
    if given.json:
        rows = [{"role": role, "key": key, "comment": comment} for role, key, comment in authorized]
        said = {
            "server": server,
            "client": client,
            "authorized": rows,
            "known_servers": known,
            "folder": str(keys.folder),
        }
        print(json.dumps(said))
        return
    print(f"server  {server}   what this user's servers show")
    print(f"client  {client}   what this user shows to servers")
    print(f"in {keys.folder}")
    print("This user's servers admit:" if authorized else "This user's servers admit nobody.")
    for row in authorized:
        print("  " + "  ".join(row).rstrip())
    print("This user knows the servers:" if known else "This user knows no servers but its own at this host.")
    for name, key in known.items():
        print(f"  {name}  {key}")


def _authorize(given: argparse.Namespace) -> None:
    _keys().authorize(given.key, given.role, given.comment)
    print(f"This user's servers admit that key as {given.role} from now on.")


def _revoke(given: argparse.Namespace) -> None:
    was = _keys().revoke(given.key)
    print("That key is not admitted any more: new connections are refused." if was else "That key was not admitted.")


def _trust(given: argparse.Namespace) -> None:
    from jupyter_dsage.net.worker_options import parse_address

    host, port = parse_address(given.server)
    _keys().trust(host, port, given.key)
    print(f"dsage://{given.server} is known by that key from now on.")


def _forget(given: argparse.Namespace) -> None:
    from jupyter_dsage.net.worker_options import parse_address

    was = _keys().forget(*parse_address(given.server))
    print(f"dsage://{given.server} " + ("is not known any more." if was else "was not known."))


def _fetch(given: argparse.Namespace) -> None:
    from jupyter_dsage.net import fetch
    from jupyter_dsage.net.keys import server_name
    from jupyter_dsage.net.worker_options import parse_port

    keys = _keys()
    there = fetch.parse_host(given.url, given.python)
    port = parse_port(given.server_port)
    name = server_name(there.host, port)
    key = fetch.server_key(there)
    keys.trust(there.host, port, key)
    print(f"dsage://{name} is known by the key {key} from now on.")
    if given.authorize:
        fetch.authorize(there, keys.client().public_text, f"{_user()}@{socket.gethostname()}")
        print(f"This user's servers on {there.host} admit this user's key as client from now on.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the system does not know its number
        return str(os.getuid())


def _ps(_given: argparse.Namespace) -> None:
    from jupyter_dsage.client import orders

    print(orders.ps())


def _about_session(given: argparse.Namespace) -> None:
    from jupyter_dsage.client import orders

    match given.verb:
        case "status":
            print(orders.status(given.session))
        case "refresh":
            print(orders.refresh(given.session))
        case "log":
            print(orders.log(given.session, given.lines))
        case "die":
            print(orders.die(given.session, everything=given.all, force=given.force))
        case _:
            print(orders.about_batches(given.verb, given.session, given.batches))


def _worker(given: argparse.Namespace) -> None:
    from jupyter_dsage.net import worker_options as options
    from jupyter_dsage.net.url_parts import MOST_SLOTS, default_slots

    host, port = options.parse_address(given.listen)
    bulk = options.default_bulk_port(port) if given.bulk_port is None else options.parse_port(given.bulk_port)
    made = options.WorkerOptions(
        host=host,
        port=port,
        slots=default_slots() if given.slots is None else options.parse_slots(given.slots, MOST_SLOTS),
        services=options.parse_services(given.service),
        services_only=given.services_only,
        bulk_port=bulk,
        linger_max=options.parse_linger(given.linger_max),
        log=given.log,
    )
    from jupyter_dsage.worker import server

    server.serve(made)


if __name__ == "__main__":
    sys.exit(main())
