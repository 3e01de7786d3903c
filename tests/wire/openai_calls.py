"""Calls of OpenAI's own client (the first release that the service's guides name, or the newest), as a program.

Run with the base URLs of the service's and of OpenAI's interface, the key, the URL of a good source and the path of a
good file; prints what the calls returned, as JSON.
"""

import asyncio
import base64
import inspect
import json
import sys
from pathlib import Path

import openai

compatible, own, key, good, file_name = sys.argv[1:]
missing = good.rsplit("/", 1)[0] + "/404/gone.wav"
file = Path(file_name)
chat = openai.OpenAI(api_key=key, base_url=compatible, max_retries=0)
audio = openai.OpenAI(api_key=key, base_url=own, max_retries=0)
said = {"version": openai.__version__}


def asked(source, **members):
    part = {"type": "input_audio", "input_audio": {"data": source}}
    return {"model": "qwen3-asr-flash", "messages": [{"role": "user", "content": [part]}], **members}


def keep(name, answer):
    said[name] = answer if isinstance(answer, str) else answer.model_dump()


def refused(name, call):
    try:
        call()
    except openai.APIError as error:
        said[name] = {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": error.code,
            "type": error.type,
            "param": error.param,
            "message": error.message,
            "request_id": getattr(error, "request_id", None),
        }


def chats():
    options = {"asr_options": {"language": "en", "enable_itn": False}}
    keep("chat", chat.chat.completions.create(**asked(good), stream=False, extra_body=options))
    data = "data:audio/wav;base64," + base64.b64encode(file.read_bytes()).decode()
    with_context = asked(data)
    with_context["messages"].insert(0, {"role": "system", "content": [{"text": "Kestrel Bridge"}]})
    keep("chat data", chat.chat.completions.create(**with_context))
    chunks = chat.chat.completions.create(**asked(good), stream=True, stream_options={"include_usage": True})
    said["chat stream"] = [chunk.model_dump() for chunk in chunks]
    chunks = chat.chat.completions.create(**asked(good), stream=True)
    said["chat stream without usage"] = [chunk.model_dump() for chunk in chunks]
    said["models"] = [model.id for model in chat.models.list()]
    keep("model", chat.models.retrieve("qwen3-asr-flash"))


def files():
    create = audio.audio.transcriptions.create
    for form in ("json", "text", "srt", "verbose_json", "vtt"):
        keep(f"file {form}", create(file=file, model="whisper-1", response_format=form))
    keep(
        "file words",
        create(file=file, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word"]),
    )
    keep("file hints", create(file=file, model="gpt-4o-transcribe", language="en", prompt="Kestrel Bridge"))
    if "stream" in inspect.signature(create).parameters:  # the first release does not know it
        events = create(file=file, model="gpt-4o-transcribe", stream=True)
        said["file stream"] = [event.model_dump() for event in events]


def refusals():
    wrong = openai.OpenAI(api_key="sk-wrong", base_url=compatible, max_retries=0)
    refused("wrong key", lambda: wrong.chat.completions.create(**asked(good)))
    refused("wrong key list", lambda: wrong.models.list())
    refused("unknown model", lambda: chat.chat.completions.create(**asked(good, model="qwen4-asr")))
    refused("other model", lambda: chat.chat.completions.create(**asked(good, model="fun-asr")))
    refused("no such model", lambda: chat.models.retrieve("qwen4-asr"))
    refused("missing source", lambda: chat.chat.completions.create(**asked(missing)))
    refused("missing source stream", lambda: list(chat.chat.completions.create(**asked(missing), stream=True)))
    refused("wrong language", lambda: audio.audio.transcriptions.create(file=file, model="x", language="klingon"))
    refused("no sound", lambda: audio.audio.transcriptions.create(file=("a.wav", b"no sound"), model="whisper-1"))
    refused("translation", lambda: audio.audio.translations.create(file=file, model="whisper-1"))
    refused("unknown path", lambda: audio.embeddings.create(input="a", model="b", encoding_format="float"))


async def twins():
    async with openai.AsyncOpenAI(api_key=key, base_url=compatible, max_retries=0) as twin:
        keep("twin chat", await twin.chat.completions.create(**asked(good)))
        chunks = await twin.chat.completions.create(**asked(good), stream=True)
        said["twin stream"] = [chunk.model_dump() async for chunk in chunks]
    async with openai.AsyncOpenAI(api_key=key, base_url=own, max_retries=0) as twin:
        keep("twin file", await twin.audio.transcriptions.create(file=file, model="whisper-1"))


chats()
files()
refusals()
asyncio.run(twins())
sys.stdout.write(json.dumps(said))
