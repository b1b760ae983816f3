# Builds the executable, then an image with nothing else: it needs only the C library.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc cmake ninja-build libc6-dev libdeflate-dev libxxhash-dev liblua5.4-dev
COPY . /src
RUN cmake -G Ninja -S /src -B /build -DCMAKE_BUILD_TYPE=Release -DCROCKET_TESTS=OFF && ninja -C /build crocket && strip /build/crocket

FROM debian:12-slim
RUN useradd --system --home /var/lib/crocket --create-home crocket
COPY --from=build /build/crocket /usr/bin/crocket
USER crocket
VOLUME /var/lib/crocket
EXPOSE 9876 10909 10911
# Clients are told the address given by --advertise: set it to one they can reach.
ENTRYPOINT ["/usr/bin/crocket"]
CMD ["server", "--listen", "0.0.0.0", "--data", "/var/lib/crocket"]
