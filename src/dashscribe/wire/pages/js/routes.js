// The pages by their addresses. Each is a module whose default export draws it, and is loaded when it is first opened.

/** [{path, load, title}]: `title` is the key of the text in the menu; pages without one are reached from others. */
export const routes = [
  { path: "/library", title: "nav.library", icon: "library", group: "", load: () => import("./library/library.js") },
  { path: "/new", title: "nav.new", icon: "plus", group: "", load: () => import("./new/new.js") },
  { path: "/recordings/:id", load: () => import("./review/review.js") },
  { path: "/compare/:left/:right", load: () => import("./review/compare.js") },
  { path: "/hotwords", title: "nav.hotwords", icon: "words", group: "nav.words", load: () => import("./settings/hotwords.js") },
  { path: "/sensitive-words", title: "nav.sensitive", icon: "shield", group: "nav.words", load: () => import("./settings/sensitive.js") },
  { path: "/keys", title: "nav.keys", icon: "key", group: "nav.server", load: () => import("./settings/keys.js") },
  { path: "/callbacks", title: "nav.callbacks", icon: "bell", group: "nav.server", load: () => import("./settings/callbacks.js") },
  { path: "/models", title: "nav.models", icon: "chip", group: "nav.server", load: () => import("./settings/models.js") },
  { path: "/queue", title: "nav.queue", icon: "queue", group: "nav.server", load: () => import("./settings/queue.js") },
];
