// The submit call, as the service documents it, from what the form holds.

import { post } from "../api.js";

const ROUTE = "api/v1/services/audio/asr/transcription";

/** Members of `parameters` from the form's options, those only that the model takes. */
export function parameters(options, model) {
  const takes = new Set(model.parameters);
  const given = {};
  const put = (name, value) => { if (takes.has(name)) given[name] = value; };
  if (options.languages.length) {
    put("language_hints", options.languages);
    if (options.languages.length === 1) put("language", options.languages[0]);
  }
  if (options.speakers) {
    put("diarization_enabled", true);
    if (options.speakers >= 2) put("speaker_count", options.speakers);
  }
  if (options.vocabulary) put("vocabulary_id", options.vocabulary);
  if (options.channels > 1) put("channel_id", Array.from({ length: options.channels }, (_, channel) => channel));
  if (options.context.trim()) put("context", options.context.trim());
  if (options.fillers) put("disfluency_removal_enabled", true);
  if (options.itn) put("enable_itn", true);
  put("enable_words", true); // the pages show the time of each word
  if (options.align) put("timestamp_alignment_enabled", true);
  if (options.noise !== 0) put("speech_noise_threshold", options.noise);
  if (options.censor) put("special_word_filter", options.censor);
  return given;
}

/** Submit one recording as a task; `idempotency` makes a repeated call give the same task. */
export function submit(url, { model, input, parameters: given }, idempotency) {
  const headers = { "x-dashscope-async": "enable", "x-dashscribe-keep": "true", "idempotency-key": idempotency };
  const body = { model, input: input === "file_url" ? { file_url: url } : { file_urls: [url] }, parameters: given };
  return post(ROUTE, body, { headers });
}
