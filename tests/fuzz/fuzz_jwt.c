/* Hostile tokens and key files. The first byte chooses: a token for a verifier that has a secret and an ES256 key, or a
 * file of keys. The one validly signed token among the seeds names no user, and the fuzzer cannot sign another: a token
 * that is let in is a finding. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/jwt.h"
#include "fcgi/jwt_keys.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

/* RFC 7515, appendix A.3 */
#define KEY_SET                                                                                                        \
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","              \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"kid\":\"k\"}]}"

static char path[] = "/tmp/fuzz_jwt.XXXXXX";

static void write_file(const void *bytes, size_t len)
{
    FILE *file = fopen(path, "w");

    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file) != 0)
        abort();
}

static void remove_file(void)
{
    unlink(path);
}

static struct jwt_verifier *make_verifier(void)
{
    struct jwt_options options = {"one secret of the fuzzer's verifier", path, "", ""};
    struct jwt_verifier *verifier = NULL;
    int fd = mkstemp(path);

    if (fd < 0 || close(fd) != 0 || atexit(remove_file) != 0)
        abort();
    write_file(KEY_SET, strlen(KEY_SET));
    if (jwt_verifier_new(&options, &verifier, NULL) != STATUS_OK)
        abort();
    return verifier;
}

static void load_keys(const void *bytes, size_t len)
{
    struct jwt_keys *keys = NULL;
    struct err err = {""};

    write_file(bytes, len);
    if (jwt_keys_new("", path, &keys, &err) != STATUS_OK && (keys || !err.text[0]))
        abort();
    jwt_keys_free(&keys);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    static struct jwt_verifier *verifier;
    struct claims claims;
    struct err err = {""};

    if (!verifier)
        verifier = make_verifier();
    if (len == 0)
        return 0;
    if (bytes[0] == 'k')
        load_keys(bytes + 1, len - 1);
    else if (jwt_verify(verifier, (const char *)bytes + 1, len - 1,
                        (struct instant){INT64_C(1300000000) * US_PER_SECOND}, &claims, &err) == STATUS_OK)
        abort();
    return 0;
}
