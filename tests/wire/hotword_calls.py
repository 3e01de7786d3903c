"""Calls of the official classes for hotword lists (majors 1 and 2 alike), as a program of its own.

Run with the base URL and the key; prints what came back.
"""

import json
import sys

import dashscope
from dashscope.audio.asr import AsrPhraseManager, VocabularyService
from dashscope.audio.asr.vocabulary import VocabularyServiceException
from dashscope.version import __version__

dashscope.base_http_api_url, dashscope.api_key = sys.argv[1:]
said = {"version": __version__}


def vocabularies():
    service = VocabularyService()
    words = [{"text": "Kestrel Bridge", "weight": 4, "lang": "en"}, {"text": "海拉尔", "weight": 4}]
    made = service.create_vocabulary(target_model="fun-asr", prefix="sdk", vocabulary=words)
    said["created"] = made
    said["listed"] = service.list_vocabularies(prefix="sdk", page_index=0, page_size=10)
    said["listed all"] = service.list_vocabularies()
    service.update_vocabulary(made, words[1:])
    said["queried"] = service.query_vocabulary(made)
    service.delete_vocabulary(made)
    said["request id"] = service.get_last_request_id()
    try:
        service.query_vocabulary(made)
    except VocabularyServiceException as error:
        said["gone"] = str(error)


def keep(name, response):
    said[name] = {
        "status_code": response.status_code,
        "code": response.code,
        "message": response.message,
        "output": vars(response.output) if response.status_code == 200 else None,
    }
    return response


def phrases():
    made = keep(
        "compiled", AsrPhraseManager.create_phrases(model="paraformer-v1", phrases={"海拉尔": 5, "Kestrel": -3})
    )
    phrase_id = made.output.finetuned_output
    keep("recompiled", AsrPhraseManager.update_phrases(model="paraformer-v1", phrase_id=phrase_id, phrases={"新": 1}))
    keep("phrases", AsrPhraseManager.query_phrases(phrase_id=phrase_id))
    keep("all phrases", AsrPhraseManager.list_phrases(page=1, page_size=10))
    keep("deleted", AsrPhraseManager.delete_phrases(phrase_id=phrase_id))
    keep("no phrases", AsrPhraseManager.query_phrases(phrase_id=phrase_id))
    keep("refused", AsrPhraseManager.create_phrases(model="paraformer-v1", phrases={"a": 90}))


vocabularies()
phrases()
sys.stdout.write(json.dumps(said, default=str))
