# A machine with systemd on which the gateway is installed as docs/how-to/deploy.md says.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends systemd systemd-sysv dbus \
    && rm -rf /var/lib/apt/lists/*
COPY --from=localhost/plano-gateway:test /opt/plano-gateway /opt/plano-gateway
COPY deploy/gateway.env /etc/plano-gateway/gateway.env
COPY deploy/gateway.service /etc/systemd/system/gateway.service
# A machine shares its mounts with its services; systemd leaves that to the container's runtime, and
# without it a service does not see its credentials.
CMD ["sh", "-c", "mount --make-rshared / && exec /sbin/init"]
