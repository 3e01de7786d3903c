// What can be chosen: models that run here and the suggested one, hotword lists, whether there are sensitive words.

import { get, V1 } from "../api.js";
import { allLists } from "../settings/vocabularies.js";
import { useLoad } from "../loading.js";

/** useLoad() of {models, suggested, lists, censor}; asked again when what is needed changes, which may suggest another. */
export function useChoices({ languages, speakers }) {
  const needs = speakers ? "speakers" : "";
  return useLoad(async (signal) => {
    const how = { signal };
    const [{ models }, suggestion, lists, words] = await Promise.all([
      get(`${V1}/models`, {}, how),
      get(`${V1}/suggestion`, { languages: languages.join(","), needs }, how),
      allLists(how),
      get(`${V1}/sensitive-words`, {}, how),
    ]);
    const usable = models.filter(({ call }) => call === "async");
    const names = new Set(usable.map(({ name }) => name));
    return { models: usable, suggested: suggestion.models.filter(({ name }) => names.has(name)), lists, censor: filterOf(words) };
  }, [languages.join(","), needs]);
}

/** The parameter with the saved words; null where it would change nothing, since the server's own list counts anyway. */
function filterOf({ masked, removed, system, special_word_filter: filter }) {
  return masked.length || removed.length || !system ? filter : null;
}
