/* The socket on which web servers reach us: our own, or one that we were started with. */
#ifndef PNLCACHE_FCGI_LISTENER_H
#define PNLCACHE_FCGI_LISTENER_H

#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/settings.h"

struct listener {
    int fd;
    bool ours;    /* made by us: nobody else accepts from it */
    char *path;   /* of our socket file, NULL otherwise */
    dev_t device; /* what identifies the file as ours */
    ino_t inode;
};

/* systemd's descriptor (LISTEN_FDS), else descriptor 0 when that is a listening socket (spawn-fcgi, mod_fcgid), else
 * a socket of our own at LISTEN, with LISTEN_MODE, LISTEN_GROUP and LISTEN_BACKLOG. STATUS_CONFLICT: another process
 * answers there. A socket file that nobody answers at is replaced. */
enum status listener_open(const struct settings *settings, struct listener *ret_listener, struct err *err) MUST_CHECK;
/* Removes our socket file if it still is ours, so that nobody can connect any more. */
void listener_unlink(struct listener *listener);
void listener_close(struct listener *listener);

#endif
