// What a recording is transcribed with: the form's values, remembered, and presets of them by name.

import { recall, remember } from "../store.js";

/** The form at first: the server's suggestion, nothing that was not asked for. */
const DEFAULTS = {
  model: "", // the suggested one
  languages: [],
  speakers: 0, // 0: not told apart, 1: as many as are heard, else how many
  channels: 1,
  vocabulary: "",
  context: "",
  fillers: false,
  itn: true,
  align: false,
  censored: false,
  noise: 0,
};

/** The options of the last time; members that are new or gone since then do no harm. */
export const lastOptions = () => fitted(recall("options"));
export const keepOptions = (options) => remember("options", options);

/** Presets: {name: options}. */
export const presets = () => recall("presets", {});

export function keepPreset(name, options) {
  remember("presets", { ...presets(), [name]: options });
}

export function dropPreset(name) {
  const { [name]: _, ...others } = presets();
  remember("presets", others);
}

/** The form's values of what a task asked for, by the names of the wire; lists of hotwords are told by their words only. */
export function optionsOf(asked) {
  const [languages = asked.language ? [asked.language] : [], channels = [0]] = [asked.language_hints, asked.channel_id];
  return fitted({
    languages,
    speakers: asked.diarization_enabled ? asked.speaker_count ?? 1 : 0,
    channels: channels.length,
    context: asked.context,
    fillers: asked.disfluency_removal_enabled,
    itn: asked.enable_itn,
    align: asked.timestamp_alignment_enabled,
    noise: asked.speech_noise_threshold,
  });
}

/** Options with every member that the form has, and no other. */
export function fitted(options) {
  const given = options && typeof options === "object" ? options : {};
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => {
    const fits = typeof given[name] === typeof value && Array.isArray(given[name]) === Array.isArray(value);
    return [name, fits ? given[name] : value];
  }));
}
