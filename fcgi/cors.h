/* Which pages of other origins a browser may let read our answers (the Fetch standard, 3.2). */
#ifndef PNLCACHE_FCGI_CORS_H
#define PNLCACHE_FCGI_CORS_H

#include "fcgi/request.h"

/* An origin as a browser writes it: "https://journal.example" or with a port, lower case, without a path. A list of them separated by
 * commas or blanks, or "*". Empty: no other origin. STATUS_INVALID names the offender. */
enum status cors_check(const char *origins, struct err *err) MUST_CHECK;

/* What `origins` means for a request; sets request->cors. The list has been checked. */
void cors_judge(const char *origins, struct request *request);

#endif
