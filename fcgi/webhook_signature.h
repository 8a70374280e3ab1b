/* Standard Webhooks 1.0.0: who sent this body, and when. */
#ifndef PNLCACHE_FCGI_WEBHOOK_SIGNATURE_H
#define PNLCACHE_FCGI_WEBHOOK_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"

#define WEBHOOK_MIN_SECRET 24
#define WEBHOOK_MAX_ID 128

struct webhook_keys; /* immutable; shared by threads */

/* `secrets`: "whsec_" + base64 (also "v1,whsec_..."), separated by commas or spaces; none is allowed. STATUS_INVALID: one is
 * not base64 or under WEBHOOK_MIN_SECRET bytes (the text does not repeat it). */
enum status webhook_keys_new(const char *secrets, struct webhook_keys **ret_keys, struct err *err) MUST_CHECK;
void webhook_keys_free(struct webhook_keys **keys);

enum webhook_verdict {
    WEBHOOK_GOOD,
    WEBHOOK_UNSIGNED, /* no signature: 401 */
    WEBHOOK_BAD_ID,   /* missing, or not as specified: 400 */
    WEBHOOK_BAD_TIME, /* likewise */
    WEBHOOK_FORGED,   /* no signature fits any key: 401 */
    WEBHOOK_STALE,    /* well signed, but its time is off by more than the tolerance: 403 */
};
/* Every key is tried against every signature, in constant time. NULL headers are missing ones. *ret_ahead_s: by how much
 * the sender's clock is ahead of `now` (behind: negative), once the signature fits; else 0. */
enum webhook_verdict webhook_verify(const struct webhook_keys *keys, const char *id, const char *timestamp,
                                    const char *signatures, const void *body, size_t body_len, struct instant now,
                                    int64_t tolerance_s, int64_t *ret_ahead_s);

#endif
