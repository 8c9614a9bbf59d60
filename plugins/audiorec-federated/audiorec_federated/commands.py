"""``audiorec federated``: train one model with another business; no row of a table crosses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import click

from audiorec.errors import InputError
from audiorec.options import chooses, reads, writes
from audiorec_cli.shared.console import (
    FIGURE_DIGITS,
    Exit,
    cell,
    print_document,
    print_json,
    print_table,
    say,
)
from audiorec_cli.shared.jobs import MetricsOption, job
from audiorec_cli.shared.options import JsonOption, OutFolderOption, QuietOption
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.progress import graceful_stop, progress_lines, stopped

ConfigOption = Annotated[
    Path, writes("--config", "-c", metavar="TOML", help="Settings with a table [federated].")
]
CAUTION = (
    "each side learns which of its users the other side has, and how many users it has in all; "
    "no id is sent in the clear"
)

app = group(
    """Train one recall model with another business: no table row leaves its owner.

    A vector of each shared user crosses, and tells much about that user: audit shows how much.

    Examples
    --------
    audiorec federated align --config music.toml
    audiorec federated align --config music.toml --yes
    audiorec federated train --config music.toml
    """
)


@command(app, here="reads local keys and settings")
def align(
    config: ConfigOption,
    yes: Annotated[
        bool, chooses("--yes", help="Run the alignment: accept what the other side learns.")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
) -> None:
    """Find the users that both sides have, without revealing the others.

    Prints the number of ids, the cost and what each side learns; without --yes it ends there. If
    the folder of keys in the settings is empty, it makes a key and a certificate first: send the
    certificate to the other party, compare its fingerprint by telephone, and name theirs as peer.
    Nobody else can connect. With --yes, both sides run it at the same time.

    Examples
    --------
    audiorec federated align --config music.toml
    audiorec federated align --config partner.toml --yes
    audiorec federated train --config partner.toml
    """
    from audiorec_federated.alignment import require_library
    from audiorec_federated.jobs import align as align_users
    from audiorec_federated.jobs import alignment_plan
    from audiorec_federated.plan import PartyPlan, own_ids

    require_library()
    plan = PartyPlan.read(config)
    ids = own_ids(plan)
    about = alignment_plan(plan, ids)
    _say_plan(about)
    if not yes:
        own = _own_certificate(plan.keys)
        document = {"schema": "audiorec/federated-align-plan/1", **about, "learns": CAUTION, **own}
        print_document(document, json=json, title="alignment")
        say("nothing was sent; add --yes to run it")
        return
    with job("federated align", plan.alignment, metrics_textfile) as done:
        with graceful_stop("this bucket is", quiet=quiet) as stop:
            result = align_users(
                plan,
                ids,
                progress=progress_lines(quiet=quiet),
                say=None if quiet else say,
                stop=stop,
            )
        if result is None:
            say("stopped; run the same command to start again")
            raise click.exceptions.Exit(Exit.INTERRUPTED)
        done.count(ids=len(ids), users=len(result))
    document = {
        "schema": "audiorec/federated-align/1",
        "ids": len(ids),
        "common": len(result),
        "alignment": result.ids[0],
        "out": str(plan.alignment),
    }
    if json:
        print_json(document)
    say(f"{len(result):,} of {len(ids):,} users are on both sides: {plan.alignment}")


def _own_certificate(folder: Path) -> dict[str, object]:
    """Make the key and certificate of this side if there are none; return what to send."""
    from audiorec_federated.keys import CERTIFICATE_FILE, has_keys, make_keys, readable_fingerprint

    if has_keys(folder):
        return {}
    fingerprint = readable_fingerprint(make_keys(folder).fingerprint)
    path = folder / CERTIFICATE_FILE
    say(f"made a key: send {path} to the other party, and compare the fingerprint by phone")
    return {"certificate": str(path), "fingerprint": fingerprint}


def _say_plan(about: dict[str, Any]) -> None:
    merged = f" ({about['merged']:,} duplicates removed)" if about["merged"] else ""
    say(
        f"{about['ids']:,} ids{merged}, at least {about['buckets']:,} buckets, "
        f"{about['megabytes']:,} MB, about {about['cpu_s']:,} CPU-seconds for both sides together"
    )
    say(f"caution: {CAUTION}")


@command(app, here="reads local keys and settings")
def train(
    config: ConfigOption,
    quiet: QuietOption = False,
    json: JsonOption = False,
    metrics_textfile: MetricsOption = None,
) -> None:
    """Train this side of the model; the other side runs the same command.

    One-way, the default: the partner sends one vector of each shared user, once, and the music side
    learns from them at home. If either side stops, run its command again. With two-tower and mmoe,
    which are experimental, a vector and a gradient of each user cross in every pass; both sides
    resume from their last common checkpoint, and steps since then are sent again with other noise.

    Afterwards the music side has a channel and the vectors of the shared users: recall candidates
    MODEL --users MODEL.users.parquet. The partner has a channel that makes vectors of newcomers:
    recall users MODEL --profiles TABLE.

    Examples
    --------
    audiorec federated train --config music.toml
    audiorec federated train --config partner.toml --json
    audiorec recall users model/ --profiles newcomers.csv --out vectors.parquet
    """
    from audiorec_federated.jobs import train as train_party
    from audiorec_federated.plan import PartyPlan

    plan = PartyPlan.read(config)
    with job("federated train", plan.out, metrics_textfile) as told:
        with graceful_stop("this step is", quiet=quiet) as stop:
            done = train_party(
                plan,
                tell=None if quiet else _say_epoch,
                say=None if quiet else say,
                stop=stop,
            )
        if done is None:
            raise stopped()
        told.count(users=done["users"], **{n: done[n] for n in ("steps",) if n in done})
    document = {"schema": "audiorec/federated-train/1", "role": plan.role, "model": plan.model}
    if json:
        print_json({**document, **done, "out": str(plan.out)})
    steps = f"{done['steps']:,} steps with " if "steps" in done else ""
    say(f"{plan.model}: {steps}{done['users']:,} users: {plan.out}")


def _say_epoch(line: Mapping[str, Any]) -> None:
    """Say what one side knows of an epoch that both have trained."""
    known = {"epoch", "epochs", "steps", "seconds"}
    own = {name.replace("_", " "): cell(one) for name, one in line.items() if name not in known}
    # After a resume, epochs of before are told again, without the number of steps.
    done = [f"{line['steps']:,} steps done"] if "steps" in line else []
    done.append(f"{line['seconds']:.1f} s")
    text = ", ".join([*done, *(f"{name} {one}" for name, one in own.items())])
    say(f"epoch {line['epoch']} of {line['epochs']}: {text}")


@command(app, here="reads local keys and settings")
def release(
    config: ConfigOption,
    output: OutFolderOption,
    epsilon: Annotated[
        float | None, chooses(help="Music side: the epsilon of this release alone.")
    ] = None,
    received: Annotated[
        Path | None,
        reads("--from", metavar="FOLDER", help="Partner: the release that it received."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Release songs with noise, so that the partner can answer profiles by itself.

    The music side writes a folder to hand over. It has one promise, about all plays of one user,
    which no other command gives; the ledger adds up all releases, and refuses what is beyond the
    budget in the settings. The partner joins the folder with its own model of users.

    Examples
    --------
    audiorec federated release --config music.toml --epsilon 4 --out given/
    audiorec federated release --config partner.toml --from given/ --out served/
    audiorec recall candidates served/ --profiles new.csv --out cands.parquet
    """
    from audiorec_federated.plan import PartyPlan
    from audiorec_federated.release import complete
    from audiorec_federated.release import release as write_release

    plan = PartyPlan.read(config)
    if (plan.role == "music") is not (epsilon is not None and received is None):
        raise InputError("give --epsilon at the music side, or --from FOLDER at the partner")
    with job("federated release", output, None) as done:
        if received is not None:
            document = complete(plan, received, output)
        else:
            assert epsilon is not None  # noqa: S101 - as checked
            document = write_release(plan, epsilon, output)
        done.count(songs=document["songs"])
    if json:
        print_json({"schema": "audiorec/federated-release/1", **document})
    say(f"{document['songs']:,} songs: {output}")
    if epsilon is not None:
        say(
            f"epsilon {epsilon:g}; all releases so far: {document['total_epsilon']:.4g} of "
            f"{document['budget']:g}, at delta {document['delta']:g}"
        )


@command(app, here="reads local keys and settings")
def audit(config: ConfigOption, json: JsonOption = False) -> None:
    """Attack the vectors that the partner would send, raw and with its noise and rounding.

    The attacker knows the profiles of half of the users, and guesses those of the others. An attack
    that does not beat chance on raw vectors does not count.

    Examples
    --------
    audiorec federated audit --config partner.toml
    audiorec federated audit -c partner.toml --json
    audiorec federated audit -c partner.toml > leaks.txt
    """
    from audiorec_federated.audit import audit_vectors
    from audiorec_federated.plan import PartyPlan

    vectors = audit_vectors(PartyPlan.read(config))
    if json:
        print_json({"schema": "audiorec/federated-audit/1", **vectors})
        return
    rows = [
        (leak["attack"], leak["by"], leak["chance"], leak["undefended"][0], _defended(leak))
        for leak in vectors["leaks"]
    ]
    heads = ("attack", "by", "chance", "undefended", "as configured")
    print_table(heads, rows, title="what the vectors reveal", digits=FIGURE_DIGITS)
    say("a failure shows only that this attack fails; no epsilon is claimed")


def _defended(leak: dict[str, Any]) -> str:
    from audiorec.evaluation.classification import Interval

    if not leak["counts"]:
        return "does not count"
    return str(Interval(*leak["defended"]))
