// Hotword lists over the service's own customization interface, and their form as text: a word on each line.

import { post } from "../api.js";

const ROUTE = "api/v1/services/audio/asr/customization";
const PAGE_SIZE = 100;

async function act(action, members, how) {
  return (await post(ROUTE, { model: "speech-biasing", input: { action, ...members } }, how)).output;
}

/** All lists with their words: {id, status, gmt_create, gmt_modified, target_model, words: [{text, weight, lang}]}. */
export async function allLists(how) {
  const found = [];
  for (let page = 0; ; page += 1) {
    const { vocabulary_list: lists } = await act("list_vocabulary", { page_index: page, page_size: PAGE_SIZE }, how);
    found.push(...lists);
    if (lists.length < PAGE_SIZE) break;
  }
  return Promise.all(found.map(async ({ vocabulary_id: id }) => {
    const { vocabulary: words, ...about } = await act("query_vocabulary", { vocabulary_id: id }, how);
    return { id, words, ...about };
  }));
}

export const createList = (prefix, model, words) => act("create_vocabulary", { prefix, target_model: model, vocabulary: words });
export const updateList = (id, words) => act("update_vocabulary", { vocabulary_id: id, vocabulary: words });
export const deleteList = (id) => act("delete_vocabulary", { vocabulary_id: id });

/** Words from lines such as `Kestrel Bridge, 5, en`: weight and language may be left out. As `dashscribe hotwords` reads them. */
export function wordsOf(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const [, word, weight, lang] = /^(.*?)(?:\s*[,，\t]\s*(-?\d+))?(?:\s*[,，\t]\s*([a-z]{2,3}))?$/.exec(line);
    return { text: word.trim(), ...(weight && { weight: Number(weight) }), ...(lang && { lang }) };
  });
}

/** The lines of words. */
export function linesOf(words) {
  return words.map(({ text, weight, lang }) => [text, (weight !== 4 || lang) && weight, lang].filter(Boolean).join(", ")).join("\n");
}
