/* For tests of lib/store and jobs: connections to the private PostgreSQL of tests/with_servers.sh. Everything
 * fails the running test instead of returning a status. */
#ifndef PNLCACHE_TESTS_SUPPORT_DATABASE_H
#define PNLCACHE_TESTS_SUPPORT_DATABASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/store/db.h"

const char *database_owner_url(void); /* of a superuser */
const char *database_role_url(void);  /* of the programs' role */

/* Not yet connected; query_timeout_ms as given. */
struct db *database_open(const char *url, int64_t query_timeout_ms, bool read_only);
/* Runs statements as the owner on a connection of its own. */
void database_run(const char *sql, ...) __attribute__((format(printf, 1, 2)));
/* The single integer a query returns, on `db`. */
int64_t database_integer(struct db *db, const char *sql);
/* pg_backend_pid() of the connection. */
int database_backend(struct db *db);
/* Ends the connection's backend and waits until our side can see it. */
void database_terminate(struct db *db);

void assert_status(enum status actual, enum status expected, const struct err *err);

#endif
