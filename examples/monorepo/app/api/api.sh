#!/bin/sh
echo "hello from the api"
