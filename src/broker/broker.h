/*
 * The broker role: accepts messages, serves consumers, keeps topics, subscription groups and consumer offsets,
 * registers with name servers. This header is what the program that starts the role needs; broker_int.h is for the
 * broker's own files.
 *
 * Ownership: broker_create gives a broker that the caller ends with broker_stop and broker_free.
 * Threads: create, start, stop, free from the main thread; the event loops are the caller's pool.
 */
#ifndef CROCKET_BROKER_BROKER_H
#define CROCKET_BROKER_BROKER_H

#include "base/err.h"
#include "broker/broker_conf.h"
#include "net/conn.h"
#include "store/store_conf.h"

struct broker;

struct broker_options {
    struct broker_conf *conf;      /* kept and changed by admin commands; the caller frees it after broker_free */
    struct store_conf *store_conf; /* likewise */
    const char *listen_host;       /* "0.0.0.0" */
    const char *config_path;       /* the .properties file given by -c, or NULL: where config updates are persisted */
    /* After a failed sync, instead of ending the process at once: for tests on a simulated disk. Nothing the broker
     * does afterwards counts. NULL: end the process. */
    void (*fatal)(void *arg, const char *text);
    void *fatal_arg;
};

/* Opens the store, loads the configuration files, listens. Fills ports (when 0 was asked) and brokerIP1 in conf. */
int broker_create(struct broker **out, const struct broker_options *options, struct net_pool *pool, struct err *err);
/* Starts the store's threads and the registration; call when the loops are running. */
int broker_start(struct broker *b, struct err *err);
/* Drains: unregisters, stops accepting, lets what is in flight be answered. The loops still run. */
void broker_drain(struct broker *b);
/* After the loops have stopped: persists everything and closes the store. */
void broker_free(struct broker *b);
uint16_t broker_port(const struct broker *b);
const char *broker_address(const struct broker *b); /* what is registered: host:port */

#endif
