// All that the page needs of JavaScript.
import "./keep.js";
import "./terminal.js";
