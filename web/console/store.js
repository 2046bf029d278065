// The page's one state, in named slices. Views read `state`, change it through `change`, and are told once per
// animation frame which slices moved: a thousand messages in a frame cost one rendering.

/**
 * @param {object} state the slices, by name
 * @param {(callback: () => void) => void} schedule when to tell the subscribers
 */
export function createStore(state, schedule = (callback) => requestAnimationFrame(callback)) {
  const subscribers = [];
  const changed = new Set();
  let scheduled = false;

  function notify() {
    scheduled = false;
    const slices = new Set(changed);
    changed.clear();
    for (const { names, callback } of subscribers) {
      if (names.some((name) => slices.has(name))) callback(state, slices);
    }
  }

  function touch(name) {
    if (!(name in state)) throw new Error(`no slice named ${name}`);
    changed.add(name);
    if (scheduled) return;
    scheduled = true;
    schedule(notify);
  }

  return {
    state,
    touch,

    /** Merges `patch` into a slice, and schedules its subscribers. */
    change(name, patch) {
      Object.assign(state[name], patch);
      touch(name);
    },

    /** Calls back after any of the slices changed, and once now. */
    subscribe(names, callback) {
      subscribers.push({ names, callback });
      callback(state, new Set(names));
    },
  };
}
