#!/bin/sh
# How every service writes its log.
log() {
    echo "shop: $*"
}
