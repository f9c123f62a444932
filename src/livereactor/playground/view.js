/** `<livereactor-view>` for any page, by one tag: `<script type="module" src="ADDRESS/view.js"></script>`. */

import { LivereactorView } from "./js/views/view-element.js";

// A page may have it of two servers: the first one's serves the elements of both.
if (!customElements.get("livereactor-view")) customElements.define("livereactor-view", LivereactorView);

export { LivereactorView };
