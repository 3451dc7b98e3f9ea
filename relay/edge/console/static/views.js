// Which view belongs to which address. A view is loaded when it is needed, so that a new page waits for its own alone;
// this file imports nothing, so that the first view is on its way before the rest of the page is here.

const VIEWS = {
  overview: { title: "Overview", load: () => import("./view-overview.js") },
  events: { title: "Live events", load: () => import("./view-events.js") },
  search: { title: "Search", load: () => import("./view-search.js") },
  subjects: { title: "Timeline", load: () => import("./view-subject.js") },
  tasks: { title: "Tasks", load: () => import("./view-tasks.js") },
  chats: { title: "Chats", load: () => import("./view-chats.js") },
  "dead-letters": { title: "Dead letters", load: () => import("./view-dead-letters.js") },
  health: { title: "Health", load: () => import("./view-health.js") },
};

/**
 * What `#/dead-letters/ID?after=X` says: the `name`, the `title`, the `id` and the `query` of a view. `load` answers the
 * module that shows it, with `list` or, where there is an id, `one`. Without an address it is the overview.
 */
export function viewAt(hash) {
  const [path, query = ""] = (hash.match(/^#\/(.+)/)?.[1] ?? "overview").split("?");
  const [name, ...rest] = path.split("/");
  const id = decoded(rest.join("/"));
  const { title, load } = VIEWS[name] ?? { title: "Unknown address", load: async () => ({}) };
  return { name, title: id ? `${title} ${id}` : title, load, id, query: new URLSearchParams(query) };
}

/** Loads those that were not needed yet, so that they are there at once, and of the same version, when they are. */
export function loadAll() {
  for (const { load } of Object.values(VIEWS)) load().catch(() => {}); // it is asked for again when it is needed
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

viewAt(location.hash).load().catch(() => {}); // main.js says so
