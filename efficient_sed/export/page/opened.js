// Modules do not run in pages that are opened as a file, so this is said here.

if (location.protocol === "file:") warn("Browsers run this page only from a server. Start one with: python -m http.server --directory FOLDER");
