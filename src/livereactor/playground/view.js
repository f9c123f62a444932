/** Define `<livereactor-view>` on any page: `<script type="module" src="ADDRESS/view.js"></script>`. */

import { LivereactorView } from "./js/views/view-element.js";

// A page may load this file from two servers. The first definition then serves the elements of both.
if (!customElements.get("livereactor-view")) customElements.define("livereactor-view", LivereactorView);

export { LivereactorView };
