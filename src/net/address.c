#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

int net_address_parse(struct net_address *out, struct str text, struct err *err)
{
    text = str_trim(text);
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    int32_t port = 0;
    if (colon == NULL || !str_to_i32(str_make(colon + 1, (size_t)(text.ptr + text.len - colon - 1)), &port) ||
        port < 0 || port > 65535)
        return err_set(err, EINVAL, "'%.*s' is no address: write host:port, for example 127.0.0.1:9876", STR_ARG(text));
    struct str host = str_make(text.ptr, (size_t)(colon - text.ptr));
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_make(host.ptr + 1, host.len - 2);
    char name[256], service[8];
    if (host.len >= sizeof name)
        return err_set(err, EINVAL, "the host name in '%.*s' is too long", STR_ARG(text));
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(host.len ? name : "0.0.0.0", service, &hints, &list);
    if (rc != 0)
        return err_set(err, EINVAL, "cannot resolve '%.*s': %s", STR_ARG(text), gai_strerror(rc));
    memcpy(&out->sa, list->ai_addr, list->ai_addrlen);
    out->len = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

size_t net_address_format(const struct net_address *a, char out[64])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    int n;
    if (a->sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&a->sa;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, ip, sizeof ip);
            n = snprintf(out, 64, "%s:%d", ip, ntohs(in6->sin6_port));
        } else {
            inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
            n = snprintf(out, 64, "[%s]:%d", ip, ntohs(in6->sin6_port));
        }
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&a->sa;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        n = snprintf(out, 64, "%s:%d", ip, ntohs(in->sin_port));
    }
    return n > 0 ? (size_t)n : 0;
}

uint16_t net_address_port(const struct net_address *a)
{
    if (a->sa.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)&a->sa)->sin_port);
}

bool net_address_is_loopback(const struct net_address *a)
{
    enum { LOOPBACK_NET = 127 };
    if (a->sa.ss_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == LOOPBACK_NET);
    }
    return ntohl(((const struct sockaddr_in *)(const void *)&a->sa)->sin_addr.s_addr) >> 24 == LOOPBACK_NET;
}

void net_socket_tune(int fd, const struct net_address *peer)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (net_address_is_loopback(peer))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof "reno" - 1);
}

void net_address_of_this_host(char out[64])
{
    /* Connecting a datagram socket sends nothing; it only asks the kernel which source address a route would use. */
    snprintf(out, 64, "127.0.0.1");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(0xC0000201)};
    struct sockaddr_in from = {0};
    socklen_t len = sizeof from;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && getsockname(fd, (struct sockaddr *)&from, &len) == 0 &&
        from.sin_addr.s_addr != 0)
        inet_ntop(AF_INET, &from.sin_addr, out, 64);
    close(fd);
}
