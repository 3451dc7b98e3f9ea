// Which view belongs to which address.

import * as chats from "./view-chats.js";
import * as deadLetters from "./view-dead-letters.js";
import * as events from "./view-events.js";
import * as health from "./view-health.js";
import * as overview from "./view-overview.js";
import * as search from "./view-search.js";
import * as subjects from "./view-subject.js";
import * as tasks from "./view-tasks.js";

const VIEWS = {
  overview: { title: "Overview", view: overview },
  events: { title: "Live events", view: events },
  search: { title: "Search", view: search },
  subjects: { title: "Timeline", view: subjects },
  tasks: { title: "Tasks", view: tasks },
  chats: { title: "Chats", view: chats },
  "dead-letters": { title: "Dead letters", view: deadLetters },
  health: { title: "Health", view: health },
};

/**
 * What `#/dead-letters/ID?after=X` says: the `name`, the `title`, the `id` and the `query` of a view, and the `view` with
 * `list` or, where there is an id, `one`. Without an address it is the overview.
 */
export function viewAt(hash) {
  const [path, query = ""] = (hash.match(/^#\/(.+)/)?.[1] ?? "overview").split("?");
  const [name, ...rest] = path.split("/");
  const id = decoded(rest.join("/"));
  const { title, view } = VIEWS[name] ?? { title: "Unknown address", view: {} };
  return { name, title: id ? `${title} ${id}` : title, view, id, query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
