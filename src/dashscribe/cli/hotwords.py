"""``dashscribe hotwords``: keep the hotword lists of a server, ours or the cloud, over the documented route.

These are vocabularies, the lists of the second generation. ``test`` alone needs no server: it measures a list's effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashscribe.cli.output import Outcome, print_json, print_outcomes, print_table
from dashscribe.cli.remote import ApiKey, AsJson, BaseUrl, client, model_names
from dashscribe.cli.word_files import Words, read_words

if TYPE_CHECKING:
    from dashscribe.client import Client

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Hotword lists of a server. Example: dashscribe hotwords create words.txt --prefix harbor",
)

ListId = Annotated[str, typer.Argument(help="The id that creating gave.", metavar="LIST_ID", show_default=False)]


@app.command()
def create(
    file: Words,
    prefix: Annotated[str, typer.Option(help="1 to 10 digits and lower-case letters; part of the id.")],
    model: Annotated[
        str, typer.Option(help="The model that is to use the list, by its exact name.", autocompletion=model_names)
    ] = "fun-asr",
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Keep a new list and print its id.

    Example: dashscribe hotwords create words.txt --prefix harbor --model fun-asr
    """
    vocabulary = read_words(file)
    output = _ask(base_url, api_key, "create_vocabulary", target_model=model, prefix=prefix, vocabulary=vocabulary)
    print_json(output) if as_json else typer.echo(output.get("vocabulary_id", ""))


@app.command()
def ls(
    prefix: Annotated[str, typer.Option(help="Only lists of this prefix.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """List the lists, the newest first.

    Example: dashscribe hotwords ls --prefix harbor
    """
    only = {"prefix": prefix} if prefix else {}
    lists = _ask(base_url, api_key, "list_vocabulary", page_index=0, page_size=limit, **only).get("vocabulary_list", [])
    if as_json:
        print_json(lists)
        return
    members = ("vocabulary_id", "status", "gmt_create", "gmt_modified")
    rows = [tuple(str(one.get(name, "")) for name in members) for one in lists]
    print_table(("LIST", "STATUS", "CREATED", "CHANGED"), rows)


@app.command()
def get(list_id: ListId, as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None) -> None:
    """Print the words of a list, in the form that create and update read.

    Example: dashscribe hotwords get vocab-harbor-0123456789abcdef0123456789abcdef > words.txt
    """
    output = _ask(base_url, api_key, "query_vocabulary", vocabulary_id=list_id)
    if as_json:
        print_json(output)
        return
    typer.echo(f"{list_id} for {output.get('target_model')}, changed {output.get('gmt_modified')}", err=True)
    for word in output.get("vocabulary", []):
        typer.echo("\t".join(str(word[name]) for name in ("text", "weight", "lang") if word.get(name)))


@app.command()
def update(
    list_id: ListId, file: Words, as_json: AsJson = False, base_url: BaseUrl = None, api_key: ApiKey = None
) -> None:
    """Replace all words of a list; tasks that were handed in before keep the old ones.

    Example: dashscribe hotwords update vocab-harbor-0123456789abcdef0123456789abcdef words.txt
    """
    vocabulary = read_words(file)
    _ask(base_url, api_key, "update_vocabulary", vocabulary_id=list_id, vocabulary=vocabulary)
    if as_json:
        print_json({"vocabulary_id": list_id, "words": len(vocabulary)})
    else:
        typer.echo(f"{list_id} holds {len(vocabulary)} words")


@app.command()
def rm(
    list_ids: Annotated[list[str], typer.Argument(help="One or more ids.", metavar="LIST_ID", show_default=False)],
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Delete lists; exit 1 if one of them could not be.

    Example: dashscribe hotwords rm vocab-harbor-0123456789abcdef0123456789abcdef
    """
    with client(base_url, api_key) as server:
        print_outcomes((_deleted(server, list_id) for list_id in list_ids), as_json=as_json)


@app.command()
def test(
    file: Words,
    audio: Annotated[
        list[Path], typer.Argument(metavar="AUDIO", help="Recordings; X.txt beside X.wav says what was said.")
    ],
    model: Annotated[
        str, typer.Option(help="Model name; `dashscribe models ls` lists them.", autocompletion=model_names)
    ] = "fun-asr",
    language: Annotated[str, typer.Option(metavar="CODE[,CODE]", help="What may be spoken, such as en,zh.")] = "",
    as_json: AsJson = False,
) -> None:
    """Measure what a list does to recordings, on this machine: each is transcribed without the list and with it.

    Counts how often the terms were said (where a transcript lies beside the recording), how often they were written
    without the list and with it, and how often where nobody said them. Exit 1: some recordings could not be read.

    Example: dashscribe hotwords test words.txt meeting.wav
    """
    from dashscribe.cli.hotword_effect import measure

    measure(file, audio, model, language, as_json=as_json)


def _deleted(server: Client, list_id: str) -> Outcome:
    from dashscribe.client import ApiError

    try:
        server.customize("delete_vocabulary", vocabulary_id=list_id)
    except ApiError as error:
        if error.http_status != 400:
            raise
        return Outcome(list_id, "deleted", str(error))
    return Outcome(list_id, "deleted")


def _ask(base_url: str | None, api_key: str | None, action: str, **members: Any) -> dict[str, Any]:
    with client(base_url, api_key) as server:
        return server.customize(action, **members)
