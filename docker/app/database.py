"""Connections to a gateway or a server."""

import os
import ssl

import pymysql

# Errors that end the connection, in the client or told by the gateway.
LOST = {0, 1053, 1077, 1152, 1158, 1159, 1160, 1161, 2002, 2003, 2006, 2013, 2014, 2055}


def connect(host, port, database):
    """A connection as the application, over TLS that nobody can verify."""
    with open(os.environ.get("SHOP_PASSWORD_FILE", "/secrets/password")) as file:
        password = file.read().strip()
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return pymysql.connect(
        host=host, port=port, user="app", password=password, database=database, ssl=tls,
        connect_timeout=5, read_timeout=30, write_timeout=30, autocommit=False,
    )


def number(error):
    """An error's number; that of a lost connection where it has none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) and code > 0 else 2013
