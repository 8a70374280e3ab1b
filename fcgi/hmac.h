/* HMAC-SHA256 with a key that is prepared once. */
#ifndef PNLCACHE_FCGI_HMAC_H
#define PNLCACHE_FCGI_HMAC_H

#include <stddef.h>

#include "lib/base/err.h"

#define HMAC_SIZE 32

struct hmac_key; /* immutable; shared by threads */

/* STATUS_NO_MEMORY. */
enum status hmac_key_new(const void *secret, size_t len, struct hmac_key **ret_key, struct err *err) MUST_CHECK;
void hmac_key_free(struct hmac_key **key);

struct hmac_part {
    const void *bytes;
    size_t len;
};
/* Over the parts one after the other. */
void hmac_sign(const struct hmac_key *key, const struct hmac_part *parts, size_t n_parts,
               unsigned char ret_mac[HMAC_SIZE]);
/* In time that does not depend on where they differ. */
bool hmac_equal(const void *mac, const void *other, size_t len);

#endif
