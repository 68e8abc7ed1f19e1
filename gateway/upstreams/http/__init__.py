"""Services of `kind: http`: processes of their own, in any language, called over HTTP."""
