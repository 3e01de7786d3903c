"""Calls of the official class interface (majors 1 and 2 alike), as a program of its own: prints what they returned.

Run with the base URL, the key, the URL of a good source, and the base URL of a server that never works on its tasks.
"""

import asyncio
import json
import sys
import time
from unittest import mock

import dashscope
from dashscope.audio.asr import AsrPhraseManager, Transcription
from dashscope.audio.qwen_asr import QwenTranscription
from dashscope.client.base_api import BaseAsyncAioApi
from dashscope.version import __version__

base, key, good, idle = sys.argv[1:]
gone = good.rsplit("/", 1)[0] + "/404/gone.wav"
dashscope.base_http_api_url = base
dashscope.api_key = key
said = {"version": __version__}


def keep(name, response):
    said[name] = {
        "status_code": response.status_code,
        "request_id": response.request_id,
        "code": response.code,
        "message": response.message,
        "output": response.output,
        "usage": response.usage,
    }
    return response


def several_files():
    keep("call", Transcription.call(model="fun-asr", file_urls=[good, gone], language_hints=["zh", "en"]))
    task = keep("async_call", Transcription.async_call(model="paraformer-v2", file_urls=[good], channel_id=[0]))
    keep("fetch", Transcription.fetch(task=task.output.task_id))
    waited = keep("wait", Transcription.wait(task=task))
    said["attributes"] = [
        waited.output.task_status,
        waited.output.results[0]["subtask_status"],
        waited.output.task_metrics["TOTAL"],
        waited.usage["duration"],
    ]
    keep("wait by id", Transcription.wait(task=task.output.task_id))
    keep("cancel ended", Transcription.cancel(task=task.output.task_id))
    keep("all failed", Transcription.call(model="fun-asr", file_urls=[gone]))
    phrase_id = AsrPhraseManager.create_phrases(model="paraformer-v1", phrases={"Kestrel": 3}).output.finetuned_output
    keep("phrases", Transcription.call(model="paraformer-v1", file_urls=[good], phrase_id=phrase_id))
    AsrPhraseManager.delete_phrases(phrase_id=phrase_id)
    keep("list", Transcription.list(page_no=1, page_size=3, model_name="paraformer-v2"))


def refusals():
    keep("unknown task", Transcription.wait(task="00000000-0000-4000-8000-000000000000"))
    keep("wrong key", Transcription.async_call(model="fun-asr", file_urls=[good], api_key="sk-wrong"))
    keep("wrong model", Transcription.async_call(model="fun-asr-9", file_urls=[good]))
    keep("wrong parameter", Transcription.async_call(model="fun-asr", file_urls=[good], channel_id=["x"]))


def one_file():
    keep("filetrans call", QwenTranscription.call(model="qwen3-asr-flash-filetrans", file_url=good, enable_words=True))
    task = keep("filetrans async_call", QwenTranscription.async_call(model="qwen3-asr-flash-filetrans", file_url=good))
    keep("filetrans fetch", QwenTranscription.fetch(task=task))
    keep("filetrans wait", QwenTranscription.wait(task=task))
    keep("filetrans failed", QwenTranscription.call(model="qwen3-asr-flash-filetrans", file_url=gone))
    keep("filetrans no url", QwenTranscription.async_call(model="qwen3-asr-flash-filetrans", file_url="a.wav"))


def waiting_tasks():
    dashscope.base_http_api_url = idle
    task = Transcription.async_call(model="fun-asr", file_urls=[good])
    keep("cancel", Transcription.cancel(task=task))
    keep("canceled", Transcription.wait(task=task))
    keep("patience", Transcription.call(model="fun-asr", file_urls=[good], wait_timeout=1))
    dashscope.base_http_api_url = base


async def twins():
    how = {"task_group": "audio", "task": "asr", "function": "transcription", "api_protocol": "http"}
    given = {"file_urls": [good]}
    task = keep("twin async_call", await BaseAsyncAioApi.async_call("fun-asr", given, http_method="POST", **how))
    keep("twin fetch", await BaseAsyncAioApi.fetch(task))
    keep("twin wait", await BaseAsyncAioApi.wait(task))
    keep("twin cancel", await BaseAsyncAioApi.cancel(task))
    keep("twin list", await BaseAsyncAioApi.list(page_size=2))


pause, pause_async = time.sleep, asyncio.sleep
with (
    # The clients sleep seconds between two polls; how often they ask is theirs to decide, so nothing is lost here.
    mock.patch("time.sleep", lambda seconds: pause(min(seconds, 0.2))),
    mock.patch("asyncio.sleep", lambda seconds: pause_async(min(seconds, 0.2))),
):
    several_files()
    refusals()
    one_file()
    waiting_tasks()
    asyncio.run(twins())
sys.stdout.write(json.dumps(said))
