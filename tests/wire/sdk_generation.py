"""Calls of the official class ``MultiModalConversation`` (any release that has it), as a program: prints what came.

Run with the base URL, the key, the URL of a good source and the path of a good file.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import dashscope
from dashscope import MultiModalConversation
from dashscope.version import __version__

base, key, good, file_name = sys.argv[1:]
dashscope.base_http_api_url = base
dashscope.api_key = key
uri = "data:audio/wav;base64," + base64.b64encode(Path(file_name).read_bytes()).decode()
gone = good.rsplit("/", 1)[0] + "/404/gone.wav"
said = {"version": __version__}
FLASH = "fun-asr-flash-2026-06-15"


def messages(audio):
    return [{"role": "system", "content": [{"text": ""}]}, {"role": "user", "content": [{"audio": audio}]}]


def flash_messages(audio):
    return [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": audio}}]}]


def plain(response):
    return {
        "status_code": response.status_code,
        "request_id": response.request_id,
        "code": response.code,
        "message": response.message,
        "output": response.output,
        "usage": response.usage,
    }


def keep(name, *responses):
    said[name] = [plain(response) for response in responses]


def text(response):
    return response.output.choices[0].message.content[0]["text"]


def one_answer():
    how = {
        "model": "qwen3-asr-flash",
        "result_format": "message",
        "asr_options": {"language": "en", "enable_itn": False},
    }
    whole = MultiModalConversation.call(messages=messages(good), **how)
    keep("url", whole)
    said["attributes"] = [text(whole), whole.output.choices[0].finish_reason]
    keep("data uri", MultiModalConversation.call(messages=messages(uri), **how))
    keep("qwen-audio-asr", MultiModalConversation.call(model="qwen-audio-asr", messages=messages(uri)))
    keep(
        "flash",
        MultiModalConversation.call(model=FLASH, messages=flash_messages(good), format="wav", sample_rate="16000"),
    )
    keep("flash data uri", MultiModalConversation.call(model=FLASH, messages=flash_messages(uri), format="wav"))


def streams():
    for name, how in (("absent", {}), ("true", {"incremental_output": True}), ("false", {"incremental_output": False})):
        for source in (good, uri):
            events = MultiModalConversation.call(
                model="qwen3-asr-flash", messages=messages(source), stream=True, asr_options={"language": "en"}, **how
            )
            keep(f"stream {name} {source[:4]}", *events)
    events = MultiModalConversation.call(model=FLASH, messages=flash_messages(good), stream=True, format="wav")
    keep("stream flash", *events)


def refusals():
    keep("gone", MultiModalConversation.call(model="qwen3-asr-flash", messages=messages(gone)))
    keep("wrong key", MultiModalConversation.call(model="qwen3-asr-flash", messages=messages(good), api_key="sk-wrong"))
    keep("wrong model", MultiModalConversation.call(model="qwen9-asr-flash", messages=messages(good)))
    keep("no format", MultiModalConversation.call(model=FLASH, messages=flash_messages(good)))
    keep("gone stream", *MultiModalConversation.call(model="qwen3-asr-flash", messages=messages(gone), stream=True))


def local_file():
    try:
        path = "file://" + file_name
        keep("file", MultiModalConversation.call(model="qwen3-asr-flash", messages=messages(path)))
    except Exception as error:  # what this release makes of uploads is told apart from what it makes of answers
        said["file"] = repr(error)


async def twins():
    from dashscope import AioMultiModalConversation

    keep("twin", await AioMultiModalConversation.call(model="qwen3-asr-flash", messages=messages(good)))
    events = await AioMultiModalConversation.call(
        model="qwen3-asr-flash", messages=messages(good), stream=True, incremental_output=True
    )
    keep("twin stream", *[event async for event in events])
    events = await AioMultiModalConversation.call(model="qwen3-asr-flash", messages=messages(gone), stream=True)
    keep("twin gone", *[event async for event in events])


one_answer()
streams()
refusals()
local_file()
if hasattr(dashscope, "AioMultiModalConversation"):
    asyncio.run(twins())
sys.stdout.write(json.dumps(said))
