"""The model card of a metric model: what it is, what it learnt from, what it may be used for."""

from collections.abc import Mapping
from typing import Any


def metric_card(config: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    config : mapping
        Keys ``tower``, ``training``, ``figures``, ``split``, ``extractor_id``, ``space``,
        ``end_to_end``, ``versions``.
    """
    tower, training, split = config["tower"], config["training"], config["split"]
    return f"""# Metric model

Turns the audio of a song into an embedding of {tower["embedding"]} numbers of unit length, in
{_space(config)}. Larger dot products mean that the user is more likely to like the song.

| | |
|---|---|
| reads | {_reads(config)} |
| network | linear map{_hidden(tower)}, {tower["pooling"]} over segments |
| learnt from | {training["liked_pairs"]:,} {_pairs_are(training)}, {training["anchors"]:,} \
anchors, {training["songs"]:,} songs of {training["artists"]:,} artists |
| loss | {training["recipe"]["loss"]}, {training["recipe"]["negatives"]["count"]} songs against \
each liked one |
| stopped | after epoch {training["best_epoch"]} of {training["epochs"]} \
(0 is the closed-form start) |
| seed | {training["recipe"]["seed"]} |
| training data | `{training["data"]}`{_simulated(training)} |

## Figures

{_figures(config["figures"])}

These figures chose the moment to stop, so they flatter. Judge the model on artists that it
never heard: `audiorec metric evaluate`. Held out of training besides: \
{split["test"]:.0%} of the artists and {split["new_songs"]:.0%} of the other artists' songs.

## Limits

- The model knows the taste of the users it was trained with, and the kinds of music they
  heard. On other catalogues measure first.
- What many users like is near to many users: popular kinds of music are shown more.
- Embeddings compare only with embeddings of the same space, never with 84-d vectors.

Versions: {", ".join(f"{name} {number}" for name, number in config["versions"].items())}.
"""


def _space(config: Mapping[str, Any]) -> str:
    space = config["space"]
    return f"the space of the users of model `{space}`" if space else "a space of its own"


def _reads(config: Mapping[str, Any]) -> str:
    made = f"extractor `{config['extractor_id']}`"
    if config["end_to_end"]:
        return f"log-mel segments, through a backbone trained along; spec of {made}"
    return f"{', '.join(config['tower']['inputs'])} of {made}"


def _hidden(tower: Mapping[str, Any]) -> str:
    return f" and a layer of {tower['hidden']} units" if tower["hidden"] else ""


def _pairs_are(training: Mapping[str, Any]) -> str:
    return (
        "likes"
        if training["pairs_from"] == "likes"
        else f"pairs of songs in {training['pairs_from']}"
    )


def _simulated(training: Mapping[str, Any]) -> str:
    return ", **simulated listening: of no use on real users**" if training["simulated"] else ""


def _figures(figures: Mapping[str, Any]) -> str:
    if figures["auc"] is None:
        return "None: no artists were held out, or too few users like any of them."
    return (
        f"AUC by user on the artists that said when to stop: **{figures['auc']:.3f}** over "
        f"{figures['users']:,} users and {figures['songs']:,} songs; the closed-form start had "
        f"{figures['auc_at_start']:.3f}."
    )
