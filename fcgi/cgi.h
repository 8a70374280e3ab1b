/* Plain CGI (RFC 3875): the web server starts a process for each request. */
#ifndef PNLCACHE_FCGI_CGI_H
#define PNLCACHE_FCGI_CGI_H

#include "lib/base/settings.h"

/* Whether a web server started us for one request of CGI. */
bool cgi_is_request(void);
/* Answers the request of the environment and standard input on standard output. A failure: nothing was written. */
enum status cgi_serve(const struct settings *settings, struct err *err) MUST_CHECK;
/* The answer when not even the settings can be read; the reason belongs into the log, not here. */
void cgi_refuse(void);

#endif
